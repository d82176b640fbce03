"""What a probe is asked and what it saw. No database, no Django."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

MAX_MESSAGE_LENGTH: Final = 500


@dataclass(frozen=True, slots=True)
class Assertion:
    """One claim about an answer: `source` names the thing looked at, `target` the place in it (a
    header's name, a JSON path; "" elsewhere), `op` and `value` what must hold."""

    source: str
    op: str
    target: str = ""
    value: str | int | float | bool | None = None


CONNECT_ONLY = frozenset({"tcp"})  # kinds whose check is over when the connection is there


@dataclass(frozen=True, slots=True)
class Target:
    """What to probe. `url` is `http://`, `https://` or, for kind tcp, `tcp://host:port`."""

    kind: str
    url: str
    method: str = "GET"
    # May hold secrets, so neither of these is shown by repr.
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: str = field(default="", repr=False)
    expected_status: str = "200-399"
    keyword: str = ""
    keyword_absent: bool = False
    assertions: Sequence[Assertion] = ()
    follow_redirects: bool = True
    max_redirects: int = 5
    timeout_seconds: float = 10.0
    verify_tls: bool = True
    min_tls_version: str = "1.2"
    wants_certificate: bool = False

    @property
    def only_connects(self) -> bool:
        return self.kind in CONNECT_ONLY


@dataclass(frozen=True, slots=True)
class Phases:
    """Where the time of one check went, each phase alone (not cumulated), in milliseconds; None
    for a phase that was not reached or does not exist (TLS of plain HTTP). Redirects add up."""

    dns_ms: int | None = None
    connect_ms: int | None = None
    tls_ms: int | None = None
    ttfb_ms: int | None = None
    transfer_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate as a server sent it; names as RFC 4514 text, `fingerprint` SHA-256 in hex."""

    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    sans: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class CertificateReport:
    """The verdict on a chain: `reason` is "" when valid, else one of `certificate.REASONS`.
    `expires_at` is the leaf's; `days_left` counts whole days and is negative after it."""

    valid: bool
    reason: str
    expires_at: datetime
    days_left: int
    chain: tuple[Certificate, ...] = ()


@dataclass(frozen=True, slots=True)
class Observation:
    """What one probe saw. `error_code` is a stable word of `ERROR_CODES`, `error_message` a
    sentence for people; both "" on success."""

    success: bool
    error_code: str = ""
    error_message: str = ""
    status_code: int | None = None
    response_time_ms: int | None = None
    phases: Phases | None = None
    certificate: CertificateReport | None = None
    checked_address: str = ""


ERROR_CODES: Final = frozenset(
    {
        "dns",  # the name has no address
        "connect",  # nobody answers there
        "tls",  # the handshake failed for another reason than the certificate
        "certificate",  # the certificate does not hold
        "timeout",
        "reset",  # the connection broke
        "empty_reply",
        "not_http",
        "redirect",  # too many, or to nowhere
        "too_large",
        "not_allowed",  # the guard refused the destination
        "invalid",  # the target itself cannot be probed
        "status",
        "keyword",
        "assertion",
        "internal",  # our own fault
    }
)


def failure(code: str, message: str) -> Observation:
    """An observation of a probe that got no answer."""
    return Observation(False, code, message[:MAX_MESSAGE_LENGTH])
