"""Servers that misbehave, on loopback, each in threads of its own."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress

Talk = Callable[[socket.socket], None]


class Server:
    """Listens, and lets `talk` speak with each connection once its request came in."""

    def __init__(
        self,
        talk: Talk,
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        reads_request: bool = True,
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.talk, self._tls, self._reads_request = talk, tls, reads_request
        self._server = socket.create_server((host, 0), family=family, backlog=1024)
        self.port = int(self._server.getsockname()[1])
        self.requests: list[bytes] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)  # wakes the thread that holds it open
        self._server.close()

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http{'s' if self._tls else ''}://{host}:{self.port}{path}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(15)
        with suppress(OSError), connection:
            if self._tls is None:
                self._speak(connection)
                return
            with self._tls.wrap_socket(connection, server_side=True) as secret:
                self._speak(secret)

    def _speak(self, connection: socket.socket) -> None:
        if self._reads_request:
            self.requests.append(read_request(connection))
        self.talk(connection)


def read_request(connection: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        received = connection.recv(65536)
        if not received:
            break
        request += received
    return request


def answer(
    body: bytes = b"all good", status: str = "200 OK", headers: dict[str, str] | None = None
) -> bytes:
    """A whole HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def says(*parts: bytes) -> Talk:
    """Send `parts` and hang up."""

    def talk(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)

    return talk


def redirects_to(location: str, status: int = 302) -> Talk:
    return says(answer(b"", f"{status} Elsewhere", {"Location": location}))
