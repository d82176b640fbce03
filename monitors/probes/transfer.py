"""One check under way: a libcurl handle, its options, and what its callbacks saw."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Final

import pycurl

from hostmaster.core.net.guard import (
    DENIED_PORTS,
    EVERY_PORT,
    DestinationNotAllowedError,
    check_address,
)
from monitors.probes.addresses import http_url, is_https, origin_of, tcp_url
from monitors.probes.assertions import needs_body
from monitors.probes.lanes import Lane
from monitors.probes.types import CertificateReport, Phases, Target

TLS_VERSIONS: Final = {
    "1.0": pycurl.SSLVERSION_TLSv1_0,
    "1.1": pycurl.SSLVERSION_TLSv1_1,
    "1.2": pycurl.SSLVERSION_TLSv1_2,
    "1.3": pycurl.SSLVERSION_TLSv1_3,
}
_METHOD: Final = re.compile(r"[A-Z]{1,20}")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}")
# These say where a message ends, which is ours to say.
_OUR_HEADERS: Final = frozenset({"content-length", "transfer-encoding", "connection", "upgrade"})
_KEPT_ELSEWHERE: Final = frozenset({"accept", "accept-language", "user-agent", "content-type"})
_PHASES: Final = (
    (pycurl.NAMELOOKUP_TIME, "dns_ms"),
    (pycurl.CONNECT_TIME, "connect_ms"),
    (pycurl.APPCONNECT_TIME, "tls_ms"),
    (pycurl.STARTTRANSFER_TIME, "ttfb_ms"),
    (pycurl.TOTAL_TIME, "transfer_ms"),
)


class TargetError(ValueError):
    """This target cannot be checked."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server may cost us, whatever the time-out of the check."""

    connect_seconds: float = 10.0  # looking up, connecting and TLS
    header_seconds: float = 10.0  # from there to the end of the headers
    header_bytes: int = 64 * 1024
    body_bytes: int = 1024 * 1024  # after decompression


class _Descriptor:
    """A socket's number until libcurl, which makes a copy, has it. A socket object that is let go
    of would warn that nobody closed it."""

    __slots__ = ("_number",)

    def __init__(self, number: int) -> None:
        self._number = number

    def __del__(self) -> None:
        os.close(self._number)

    def fileno(self) -> int:
        return self._number


class Transfer:
    """A handle that is used for one check after another; `prepare`, then `begin` for each hop."""

    key: Hashable
    target: Target
    url: str
    method: str
    deadline: float  # time.monotonic()
    lane: Lane

    def __init__(self, limits: Limits, ca_path: str, pinned_names: list[str]) -> None:
        self.limits = limits
        self._request: object = None  # what the handle is set up for
        self._tls: object = None
        self.serial = 0  # tells a timer whether it is still about this check
        self.handle = self._open_handle(ca_path, pinned_names)

    def prepare(self, key: Hashable, target: Target, now: float) -> None:
        """Take up a new check. Raises `TargetError` or `AddressError`."""
        self.key, self.target = key, target
        self.deadline = now + target.timeout_seconds
        self.hops = 0
        self.visited: set[tuple[str, str]] = set()
        self.spent: dict[str, float] = {}
        self.spent_seconds = 0.0
        self.certificate: CertificateReport | None = None
        self.is_trust_settled = target.verify_tls
        self.reads_body = bool(target.keyword) or needs_body(target.assertions)
        self.reads_headers = self.reads_body or bool(target.assertions)
        if target.only_connects:
            self.url, self.method = tcp_url(target.url), ""
            self.denied_ports = EVERY_PORT
            return
        self.url, self.method = http_url(target.url), target.method.upper()
        self.denied_ports = DENIED_PORTS
        if not _METHOD.fullmatch(self.method) or self.method in ("CONNECT", "TRACE"):
            raise TargetError("The method is one of GET, HEAD, POST and the like.")
        if target.min_tls_version not in TLS_VERSIONS:
            raise TargetError("The lowest TLS version is 1.0, 1.1, 1.2 or 1.3.")
        self._own_headers = _header_lines(target)

    def begin(self, now: float) -> None:
        """Set up the hop to `self.url`. Raises `pycurl.error` or `ValueError` for an URL that
        libcurl cannot read."""
        self.started_at = now
        self.headers: list[bytes] = []
        self.header_bytes = 0
        self.has_all_headers = False
        self.has_location = False
        self.chunks: list[bytes] = []
        self.body_bytes = 0
        self.too_large = ""
        self.refused = False
        self.dialled = False
        self.has_slow_lookup = False
        self.visited.add((self.method, self.url.partition("#")[0]))
        remaining = max(self.deadline - now, 0.001)
        set_option = self.handle.setopt
        set_option(pycurl.URL, self.url)
        set_option(pycurl.TIMEOUT_MS, max(1, int(remaining * 1000)))
        set_option(
            pycurl.CONNECTTIMEOUT_MS,
            max(1, int(min(remaining, self.limits.connect_seconds) * 1000)),
        )
        if self.target.only_connects:
            set_option(pycurl.CONNECT_ONLY, 1)
            return
        # A handle mostly meets checks of the same kind, and each option costs.
        request = (self.method, self.target.body, tuple(self._own_headers))
        if request != self._request:
            self._set_request()
            self._request = request
        if is_https(self.url):
            tls = (self.target.min_tls_version, self.verifies, self.wants_certificate)
            if tls != self._tls:
                self._set_tls(*tls)
                self._tls = tls

    @property
    def wants_certificate(self) -> bool:
        """That of the first https address: what redirects lead to has checks of its own."""
        return self.target.wants_certificate and self.certificate is None

    @property
    def verifies(self) -> bool:
        """A check that does not mind a bad certificate still asks for the verdict once: it dials
        first with, and then without verification."""
        return self.target.verify_tls or (self.wants_certificate and not self.is_trust_settled)

    def follow(self, url: str, status: int) -> None:
        """Point at where a redirect leads, with the method the status asks for; headers that may
        hold secrets stay with the origin they were written for."""
        if origin_of(url) != origin_of(self.url):
            self._own_headers = [
                line
                for line in self._own_headers
                if line.partition(":")[0].lower() in _KEPT_ELSEWHERE
            ]
        if (status == 303 and self.method != "HEAD") or (
            status in (301, 302) and self.method == "POST"
        ):
            self.method = "GET"
        self.url = url
        self.hops += 1

    def add_times(self) -> None:
        """Add the phases of the hop that ended to those before it."""
        before = 0.0
        # A hop that broke earlier has numbers for the phases it never reached, too.
        phases = _PHASES if self.has_connected() else _PHASES[:3]
        for info, name in phases:
            at = self.handle.getinfo(info)
            if at > 0:
                self.spent[name] = self.spent.get(name, 0.0) + max(at - before, 0.0)
                before = at
        self.spent_seconds += self.handle.getinfo(pycurl.TOTAL_TIME)

    @property
    def phases(self) -> Phases:
        return Phases(**{name: round(spent * 1000) for name, spent in self.spent.items()})

    def connected_after(self) -> float:
        """Seconds from the start of the hop to the request, 0 before that."""
        return float(self.handle.getinfo(pycurl.PRETRANSFER_TIME))

    @property
    def speaks_tls(self) -> bool:
        return is_https(self.url) and not self.target.only_connects

    def is_looking_up(self) -> bool:
        return not self.refused and not self.handle.getinfo(pycurl.NAMELOOKUP_TIME)

    def has_connected(self) -> bool:
        """Did this hop get as far as asking, its TLS included?"""
        last = pycurl.APPCONNECT_TIME if self.speaks_tls else pycurl.CONNECT_TIME
        return bool(self.handle.getinfo(last))

    def _open_handle(self, ca_path: str, pinned_names: list[str]) -> Any:
        handle = pycurl.Curl()
        web = pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS
        for option, value in (
            (pycurl.NOSIGNAL, 1),
            (pycurl.PROTOCOLS, web),
            (pycurl.REDIR_PROTOCOLS, web),
            (pycurl.FOLLOWLOCATION, 0),  # the engine follows, one judged hop at a time
            (pycurl.PROXY, ""),  # not even from the environment
            (pycurl.NETRC, pycurl.NETRC_IGNORED),
            (pycurl.FRESH_CONNECT, 1),
            (pycurl.FORBID_REUSE, 1),
            (pycurl.SSL_SESSIONID_CACHE, 0),
            (pycurl.DNS_CACHE_TIMEOUT, 0),
            (pycurl.TCP_NODELAY, 1),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
            (pycurl.ACCEPT_ENCODING, "gzip, deflate"),
            (pycurl.USERAGENT, "hostmaster"),
            (pycurl.CAINFO, ca_path),
            # Without the post-quantum key share of OpenSSL's default: 10 % less CPU time.
            (pycurl.SSL_EC_CURVES, "X25519:P-256:P-384:P-521"),
            (pycurl.OPENSOCKETFUNCTION, self._open_socket),
            (pycurl.HEADERFUNCTION, self._take_header),
            (pycurl.WRITEFUNCTION, self._take_body),
        ):
            handle.setopt(option, value)
        # libcurl's cache of the roots works without a directory of them only.
        handle.unsetopt(pycurl.CAPATH)
        if pinned_names:
            handle.setopt(pycurl.RESOLVE, pinned_names)
        return handle

    def _set_request(self) -> None:
        set_option, method = self.handle.setopt, self.method
        set_option(pycurl.HTTPGET, 1)
        if method == "HEAD":
            set_option(pycurl.NOBODY, 1)
        elif method in ("POST", "PUT", "PATCH") or (self.target.body and method != "GET"):
            set_option(pycurl.POSTFIELDS, self.target.body.encode())
        if method in ("GET", "HEAD"):
            self.handle.unsetopt(pycurl.CUSTOMREQUEST)
        else:
            set_option(pycurl.CUSTOMREQUEST, method)
        set_option(pycurl.HTTPHEADER, [line.encode() for line in self._own_headers])

    def _set_tls(self, lowest: str, verifies: bool, wants_certificate: bool) -> None:
        set_option = self.handle.setopt
        set_option(pycurl.SSLVERSION, TLS_VERSIONS[lowest])
        if lowest in ("1.0", "1.1"):
            # OpenSSL 3 counts these as insecure and refuses them from level 1 on.
            set_option(pycurl.SSL_CIPHER_LIST, "DEFAULT@SECLEVEL=0")
        else:
            # Setting the default list makes OpenSSL read it anew for each connection.
            self.handle.unsetopt(pycurl.SSL_CIPHER_LIST)
        set_option(pycurl.SSL_VERIFYPEER, int(verifies))
        set_option(pycurl.SSL_VERIFYHOST, 2 if verifies else 0)
        set_option(pycurl.OPT_CERTINFO, int(wants_certificate))

    # What these three raise libcurl would print and forget; they answer instead.

    def _open_socket(self, _purpose: int, address: Any) -> Any:
        family, kind, protocol, place = address
        try:
            check_address(str(place[0]), int(place[1]), denied_ports=self.denied_ports)
        except (DestinationNotAllowedError, IndexError, TypeError, ValueError):
            self.refused = True
            return pycurl.SOCKET_BAD
        try:
            opened = socket.socket(family, kind, protocol)
        except OSError:  # no IPv6 here, or no descriptor left
            return pycurl.SOCKET_BAD
        self.dialled = True
        return _Descriptor(opened.detach())

    def _take_header(self, line: bytes) -> int | None:
        self.header_bytes += len(line)
        if self.header_bytes > self.limits.header_bytes:
            self.too_large = "headers"
            return -1
        if line in (b"\r\n", b"\n"):
            # An interim answer (100, 103) ends so too: the next status line takes it back.
            self.has_all_headers = True
        elif line.startswith(b"HTTP/"):
            self.has_all_headers = self.has_location = False
            self.headers.clear()
        else:
            if line[:9].lower() == b"location:":
                self.has_location = True
            if self.reads_headers:
                self.headers.append(line)
        return None

    def _take_body(self, chunk: bytes) -> int | None:
        self.body_bytes += len(chunk)
        if self.body_bytes > self.limits.body_bytes:
            self.too_large = "body"
            return -1
        if self.reads_body:
            self.chunks.append(chunk)
        return None


def _header_lines(target: Target) -> list[str]:
    lines = ["Expect:"]  # without it libcurl waits for a 100 before it sends a large body
    names = set()
    for name, value in target.headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _OUR_HEADERS:
            raise TargetError("A header has a name that cannot be sent.")
        if any(ord(char) < 32 and char != "\t" for char in value) or "\x7f" in value:
            raise TargetError("A header has a control character in its value.")
        lines.append(f"{name}: {value}" if value.strip() else f"{name};")
        names.add(name.lower())
    if target.body and "content-type" not in names:
        kind = "application/json" if target.body.lstrip()[:1] in ("{", "[") else "text/plain"
        lines.append(f"Content-Type: {kind}")
    return lines
