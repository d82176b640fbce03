"""No body of any size fills the disk before somebody looks at the request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asgiref.sync import async_to_sync

from hostmaster.core.web.body_limit import limit_bodies

Message = Mapping[str, Any]


async def echo(scope: Message, receive: Any, send: Any) -> None:
    """An application that reads everything first, as Django does."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message["body"])
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


def send_chunks(*sizes: int) -> tuple[int, bytes, int]:
    """Status, answer, and how many chunks were taken."""
    chunks = [{"body": b"x" * n, "more_body": True} for n in sizes]
    chunks.append({"body": b"", "more_body": False})
    left = iter(chunks)
    sent: list[Message] = []
    taken = 0

    async def receive() -> Message:
        nonlocal taken
        taken += 1
        return {"type": "http.request", **next(left)}

    async def send(message: Message) -> None:
        sent.append(message)

    application = limit_bodies(echo, max_bytes=100)
    async_to_sync(application)({"type": "http"}, receive, send)
    return sent[0]["status"], sent[1]["body"], taken


def test_a_body_within_the_limit_passes_whole() -> None:
    assert send_chunks(60, 40) == (200, b"100", 3)


def test_an_endless_body_is_refused_at_the_limit_not_read() -> None:
    status, answer, taken = send_chunks(*[60] * 1000)
    assert (status, taken) == (413, 2)
    assert b"too large" in answer
