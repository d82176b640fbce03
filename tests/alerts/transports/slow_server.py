"""A mail server that at one point of the session goes on with a byte now and then, for ever."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType

DRIP_SECONDS = 0.05
ANSWERS = {
    "EHLO": b"250-slow\r\n250-STARTTLS\r\n250 SIZE 1000000\r\n",
    "MAIL": b"250 OK\r\n",
    "RCPT": b"250 OK\r\n",
    "DATA": b"354 go on\r\n",
    ".": b"250 taken\r\n",
    "QUIT": b"221 bye\r\n",
    "STARTTLS": b"220 go on\r\n",
}


class SlowServer:
    """Drips when it is to answer `at`: a command, `.` (the end of the mail) or `greeting`."""

    def __init__(self, at: str) -> None:
        self._at = at
        self._closes = threading.Event()
        self.sessions = 0
        self.was_left = threading.Event()  # the client hung up while it dripped
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self) -> SlowServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._closes.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while not self._closes.is_set():
                client, _ = self._listener.accept()
                self.sessions += 1
                with client, suppress(OSError):
                    self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        if self._at == "greeting":
            self._drip(client)
        client.sendall(b"220 slow\r\n")
        in_mail = False
        with client.makefile("rb") as lines:
            for line in lines:
                word = line.split()[0].decode().upper() if line.split() else ""
                if in_mail and word != ".":
                    continue
                in_mail = word == "DATA"
                if word == self._at:
                    if word == "STARTTLS":
                        client.sendall(ANSWERS[word])
                    self._drip(client)
                client.sendall(ANSWERS[word])

    def _drip(self, client: socket.socket) -> None:
        try:
            # The beginning of a reply whose line never ends, or of a TLS record of 16 kB.
            first = b"\x16\x03\x03\x40\x00\x02" if self._at == "STARTTLS" else b"250-"
            client.sendall(first)
            while not self._closes.wait(DRIP_SECONDS):
                client.sendall(b"\x00" if self._at == "STARTTLS" else b"x")
        except OSError:
            self.was_left.set()
            raise
