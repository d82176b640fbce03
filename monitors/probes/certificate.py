"""From the certificates a server sent, and what the handshake thought of them, to one verdict."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from monitors.probes.types import Certificate, CertificateReport

# OpenSSL's X509_V_ERR_* codes that name a cause by themselves; see x509_vfy.h.
_NOT_YET_VALID: Final = frozenset({9})
_EXPIRED: Final = frozenset({10})
_SELF_SIGNED_LEAF: Final = frozenset({18})
_SELF_SIGNED_IN_CHAIN: Final = frozenset({19})
_NO_ISSUER: Final = frozenset({2, 20, 21})
_REVOKED: Final = frozenset({23})
_WEAK: Final = frozenset({66, 67, 68})  # leaf's key, a CA's key, a digest
_WRONG_HOST: Final = frozenset({62, 64})  # libcurl compares itself and leaves 0 or 1 behind

REASONS: Final = {
    "expired": "The certificate has expired",
    "not_yet_valid": "The certificate is not valid yet",
    "self_signed": "The certificate is self-signed",
    "wrong_host": "The certificate is for another host",
    "incomplete_chain": (
        "The chain is incomplete: the issuer's certificate is neither sent nor a trusted root"
    ),
    "untrusted_root": "The chain ends at a root that is not trusted",
    "weak": "The certificate's key or signature is too weak",
    "revoked": "The certificate is revoked",
    "invalid": "The certificate does not hold",
}


@dataclass(frozen=True, slots=True)
class _Parsed:
    certificate: Certificate
    subject: bytes
    issuer: bytes


def parse_chain(pems: Sequence[bytes]) -> list[_Parsed]:
    """The certificates that can be read, in the order sent: leaf first. Empty when the leaf is
    unreadable, for nothing can be said without it."""
    if not pems or _parse(pems[0]) is None:
        return []
    return [parsed for pem in pems if (parsed := _parse(pem)) is not None]


def report_on(
    pems: Sequence[bytes], host: str, *, verified: bool, verify_result: int = 0, now: datetime
) -> CertificateReport | None:
    """The verdict. `verified`: the handshake, host name included, held; if not, `verify_result` is
    OpenSSL's code. None when the server sent nothing readable."""
    chain = parse_chain(pems)
    if not chain:
        return None
    leaf = chain[0].certificate
    return CertificateReport(
        valid=verified,
        reason="" if verified else _reason(chain, host, verify_result, now),
        expires_at=leaf.not_after,
        days_left=(leaf.not_after - now).days,
        chain=tuple(parsed.certificate for parsed in chain),
    )


def explain(report: CertificateReport, host: str, now: datetime) -> str:
    """The sentence a person reads; "" for a valid certificate."""
    if report.valid:
        return ""
    leaf = report.chain[0]
    if report.reason == "expired":
        return _explain_expiry(report, now)
    if report.reason == "not_yet_valid":
        late = max(report.chain, key=lambda each: each.not_before)
        return (
            f"{_subject_of(late, leaf)} is not valid before {late.not_before:%Y-%m-%d %H:%M} UTC."
        )
    if report.reason == "wrong_host":
        names = ", ".join(leaf.sans[:5]) or leaf.subject
        return f"The certificate is for {_clip(names, 200)}, not for {_clip(host, 100)}."
    if report.reason == "self_signed":
        return "The certificate is self-signed and not trusted."
    if report.reason == "incomplete_chain":
        return (
            "The chain is incomplete: the issuer's certificate is neither sent nor a trusted root "
            f"({_clip(leaf.issuer, 150)})."
        )
    if report.reason == "untrusted_root":
        root = report.chain[-1].issuer
        return f"The chain ends at a root that is not trusted ({_clip(root, 150)})."
    return f"{REASONS.get(report.reason, REASONS['invalid'])}."


def explain_code(verify_result: int, text: str) -> str:
    """The sentence when a check failed on a certificate it was not asked to keep."""
    reason = _reason_of_code(verify_result)
    if reason == "invalid" and "subject name" in text:
        reason = "wrong_host"
    return f"{REASONS[reason]}."


def matches_host(certificate: Certificate, host: str) -> bool:
    """Is one of the names of `certificate` that of `host` (a name or an address)?"""
    try:
        wanted = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return any(_matches_name(san, host) for san in certificate.sans)
    return str(wanted) in certificate.sans


def _matches_name(pattern: str, host: str) -> bool:
    pattern, host = pattern.lower().rstrip("."), host.lower().rstrip(".")
    if not pattern.startswith("*."):
        return pattern == host
    first, _, rest = host.partition(".")
    return bool(first) and rest == pattern[2:]


def _reason(chain: Sequence[_Parsed], host: str, verify_result: int, now: datetime) -> str:
    """Dates first: they are what the operator must act on, whatever else is wrong."""
    leaf = chain[0]
    if leaf.certificate.not_after <= now:
        return "expired"
    if leaf.certificate.not_before > now:
        return "not_yet_valid"
    reason = _reason_of_code(verify_result)
    if leaf.subject == leaf.issuer and reason != "weak":
        return "self_signed"
    if reason == "invalid" and not matches_host(leaf.certificate, host):
        return "wrong_host"
    if reason == "incomplete_chain" and _sends_issuer(chain):
        # Some CA was sent along, its own issuer is unknown: servers leave out roots, so it is
        # the root that is not trusted.
        return "untrusted_root"
    return reason


def _reason_of_code(verify_result: int) -> str:
    for codes, reason in (
        (_EXPIRED, "expired"),
        (_NOT_YET_VALID, "not_yet_valid"),
        (_SELF_SIGNED_LEAF, "self_signed"),
        (_SELF_SIGNED_IN_CHAIN, "untrusted_root"),
        (_NO_ISSUER, "incomplete_chain"),
        (_REVOKED, "revoked"),
        (_WEAK, "weak"),
        (_WRONG_HOST, "wrong_host"),
    ):
        if verify_result in codes:
            return reason
    return "invalid"


def _sends_issuer(chain: Sequence[_Parsed]) -> bool:
    return any(other.subject == chain[0].issuer for other in chain[1:])


def _explain_expiry(report: CertificateReport, now: datetime) -> str:
    leaf = report.chain[0]
    dead = leaf if leaf.not_after <= now else min(report.chain, key=lambda each: each.not_after)
    days = (now - dead.not_after).days
    ago = "today" if days < 1 else f"{days} day{'s' if days > 1 else ''} ago"
    return f"{_subject_of(dead, leaf)} expired {ago} ({dead.not_after:%Y-%m-%d})."


def _subject_of(certificate: Certificate, leaf: Certificate) -> str:
    if certificate is leaf:
        return "The certificate"
    return f"The issuer's certificate in the chain ({_clip(certificate.subject, 150)})"


def _clip(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


# The same chains come back every five minutes; parsing one costs 0.1 ms.
@lru_cache(maxsize=4096)
def _parse(pem: bytes) -> _Parsed | None:
    try:
        parsed = x509.load_pem_x509_certificate(pem)
        return _Parsed(
            Certificate(
                subject=parsed.subject.rfc4514_string(),
                issuer=parsed.issuer.rfc4514_string(),
                not_before=parsed.not_valid_before_utc,
                not_after=parsed.not_valid_after_utc,
                sans=_names_of(parsed),
                fingerprint=parsed.fingerprint(hashes.SHA256()).hex(),
            ),
            parsed.subject.public_bytes(),
            parsed.issuer.public_bytes(),
        )
    except ValueError:
        return None  # a certificate against the standard; the handshake judged it already


def _names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        sans = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ()
    addresses = sans.get_values_for_type(x509.IPAddress)
    return (*sans.get_values_for_type(x509.DNSName), *(str(each) for each in addresses))


def utc_now() -> datetime:
    return datetime.now(UTC)
