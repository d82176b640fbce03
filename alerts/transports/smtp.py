"""One SMTP session with one deadline: connect, TLS, every command and the mail together.

A server that sends a byte now and then passes each time-out of a single read; a mail that is
handed over after the lease of its notification is over goes out twice.
"""

from __future__ import annotations

import smtplib
import socket
import threading
import time
from contextlib import suppress
from typing import Any

from django.core.mail.backends.smtp import EmailBackend

CONNECT_SECONDS = 10.0  # for each address of the server
GOODBYE_SECONDS = 1.0


class Deadline:
    """A time by which whatever was dialled is cut off, wherever it is by then."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds
        self._handle: socket.socket | None = None
        self._alarm: threading.Timer | None = None

    def is_over(self) -> bool:
        return time.monotonic() >= self._ends

    def left(self) -> float:
        """Seconds. Raises `TimeoutError` when there are none."""
        seconds = self._ends - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("timed out")
        return seconds

    def dial(self, host: str, port: int) -> socket.socket:
        """A connection to the first address of `host` that answers. Raises `OSError`."""
        failure = OSError("The mail server has no address.")
        for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            try:
                patience = min(self.left(), CONNECT_SECONDS)
                dialled = socket.create_connection((str(address[0]), port), patience)
            except OSError as error:
                failure = error
                continue
            self._watch(dialled)
            return dialled
        raise failure

    def _watch(self, dialled: socket.socket) -> None:
        dialled.settimeout(self.left())
        # A handle of our own: TLS takes the descriptor over while the alarm may ring.
        self._handle = dialled.dup()
        self._alarm = threading.Timer(self.left(), self._cut)
        self._alarm.daemon = True
        self._alarm.start()

    def _cut(self) -> None:
        """Ends every read and write of the connection, in whatever thread they wait."""
        if self._handle is not None:
            with suppress(OSError):
                self._handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm.join()
        if self._handle is not None:
            self._handle.close()
        self._alarm = self._handle = None


class PunctualBackend(EmailBackend):
    """Django's, for one mail within `seconds` from now. Close it afterwards, sent or not."""

    _partial_connection: smtplib.SMTP | None

    def __init__(self, seconds: float) -> None:
        super().__init__(timeout=seconds)
        self.deadline = Deadline(seconds)

    @property
    def connection_class(self) -> Any:
        kind = _PunctualTls if self.use_ssl else _Punctual

        def connect(host: str, port: int, **options: Any) -> smtplib.SMTP:
            return kind(host, port, deadline=self.deadline, **options)

        return connect

    def close(self) -> None:
        """Without waiting for a word: what a server says after it took the mail changes nothing."""
        for connection in (self._partial_connection, self.connection):
            if connection is not None:
                _hang_up(connection)
        self._partial_connection = self.connection = None
        self.deadline.close()


class _Punctual(smtplib.SMTP):
    def __init__(self, *args: Any, deadline: Deadline, **options: Any) -> None:
        self._deadline = deadline
        super().__init__(*args, **options)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self._deadline.dial(host, port)


class _PunctualTls(_Punctual, smtplib.SMTP_SSL):
    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        dialled = super()._get_socket(host, port, timeout)
        return self.context.wrap_socket(dialled, server_hostname=host)


def _hang_up(connection: smtplib.SMTP) -> None:
    with suppress(OSError):
        if connection.sock is not None:
            connection.sock.settimeout(GOODBYE_SECONDS)
            connection.putcmd("QUIT")
    connection.close()
