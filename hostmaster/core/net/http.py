"""Outgoing HTTP, guarded: every connection, redirects included, is dialled by `guard.dial`.

What comes back is bounded in bytes and time. No proxies, no environment, http and https only.
"""

from __future__ import annotations

import http.client
import io
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError, ContentDecodingError
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from hostmaster.core.net.guard import dial

CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0
TOTAL_SECONDS = 20.0  # a whole answer, headers and body
MAX_BYTES = 1024 * 1024  # after decompression
MAX_REDIRECTS = 5
_CHUNK_BYTES = 16 * 1024


class ResponseTooLargeError(Exception):
    """The answer is larger than we read."""


class ProxyRefusedError(Exception):
    """Guarded requests go out directly, never through a proxy."""


def guarded_session(
    *, max_bytes: int = MAX_BYTES, max_redirects: int = MAX_REDIRECTS
) -> requests.Session:
    """A session that dials allowed addresses only and reads at most `max_bytes` of an answer.

    Its verbs raise `DestinationNotAllowedError`, `ResponseTooLargeError` and `ProxyRefusedError`
    beside requests' own errors.
    """
    session = requests.Session()
    session.trust_env = False  # neither proxies nor ~/.netrc nor CA bundles of the environment
    session.max_redirects = max_redirects
    session.adapters.clear()
    adapter = GuardedAdapter(max_bytes)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def read_limited(response: requests.Response, max_bytes: int = MAX_BYTES) -> bytes:
    """The body of a response asked for with `stream=True`, then closed.

    Raises `ResponseTooLargeError`, having read at most a chunk more.
    """
    with response:
        chunks = response.iter_content(min(_CHUNK_BYTES, max_bytes + 1))
        return b"".join(_limited(chunks, max_bytes))


class GuardedResponse(requests.Response):
    """A response whose body is bounded however it is read, also when requests itself reads the
    body of a redirect."""

    max_bytes = MAX_BYTES

    def iter_content(
        self, chunk_size: int | None = 1, decode_unicode: bool = False
    ) -> Iterator[Any]:
        chunks = super().iter_content(chunk_size, decode_unicode)
        try:
            yield from _limited(chunks, self.max_bytes)
        except (ChunkedEncodingError, ContentDecodingError):
            # requests reads the rest of a redirect whose body is broken, without limit.
            self.raw.close()
            raise


class _DeadlineReader(io.RawIOBase):
    """Reads a socket until one deadline for the whole response: a server that sends a byte now and
    then passes every timeout of a single read."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._read_seconds = connection.gettimeout() or READ_SECONDS
        self._deadline = time.monotonic() + seconds
        self._inner = connection.makefile("rb", buffering=0)  # keeps the socket open

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("timed out")
        self._connection.settimeout(min(remaining, self._read_seconds))
        return self._inner.readinto(buffer)

    def close(self) -> None:
        self._inner.close()
        super().close()


class _DeadlineResponse(http.client.HTTPResponse):
    """The response of http.client, its headers and body read until one deadline."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        reader = _DeadlineReader(sock, TOTAL_SECONDS)
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(reader)


class _GuardedHTTPConnection(HTTPConnection):
    response_class = _DeadlineResponse

    def _new_conn(self) -> socket.socket:
        return _dial_for(self)


class _GuardedHTTPSConnection(HTTPSConnection):
    response_class = _DeadlineResponse

    def _new_conn(self) -> socket.socket:
        return _dial_for(self)


class _GuardedHTTPPool(HTTPConnectionPool):
    ConnectionCls = _GuardedHTTPConnection


class _GuardedHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedHTTPSConnection


class GuardedAdapter(HTTPAdapter):
    """Connections of `guard.dial`, default timeouts, bounded responses, no proxies."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            "http": _GuardedHTTPPool,
            "https": _GuardedHTTPSPool,
        }

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        raise ProxyRefusedError("Guarded requests go out directly, never through a proxy.")

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        if timeout is None:
            timeout = (CONNECT_SECONDS, READ_SECONDS)
        return super().send(request, stream, timeout, verify, cert, proxies)

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        response = GuardedResponse()
        response.__dict__.update(super().build_response(req, resp).__dict__)
        response.max_bytes = self.max_bytes
        return response


def _dial_for(connection: HTTPConnection) -> socket.socket:
    """What urllib3's `_new_conn` does, with its errors, over a judged socket."""
    timeout = connection.timeout
    seconds = timeout if isinstance(timeout, int | float) else CONNECT_SECONDS
    try:
        dialled = dial(connection._dns_host, connection.port, seconds)
    except socket.gaierror as error:
        raise NameResolutionError(connection.host, connection, error) from error
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, f"No connection within {seconds} s.") from error
    except OSError as error:
        raise NewConnectionError(connection, f"No connection: {error}") from error
    for option in connection.socket_options or ():
        dialled.setsockopt(*option)
    dialled.settimeout(seconds)
    sys.audit("http.client.connect", connection, connection.host, connection.port)
    return dialled


def _limited(chunks: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise ResponseTooLargeError(f"The answer is larger than {max_bytes} bytes.")
        yield chunk
