"""No body larger than the limit reaches Django, which under ASGI writes all of it to a temporary
file before any code of ours, or anybody's token, is looked at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


class BodyTooLargeError(Exception):
    """The request's body is larger than this server takes."""


def limit_bodies(application: Application, *, max_bytes: int) -> Application:
    """`application`, answering 413 by itself as soon as a body passes `max_bytes`."""

    async def limited(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > max_bytes:
                raise BodyTooLargeError
            return message

        try:
            await application(scope, counted, send)
        except BodyTooLargeError:
            await _refuse(send)

    return limited


async def _refuse(send: Send) -> None:
    text = b'{"detail": "The body is too large."}'
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": text})
