"""From a claimed monitor to what its probe is asked."""

from __future__ import annotations

import json
from functools import lru_cache
from urllib.parse import urlsplit

from hostmaster.core import crypto
from hostmaster.core.crypto import SealContext
from monitors.claims import Claim
from monitors.models import Monitor
from monitors.models.monitors import meets_certificate
from monitors.probes.assertions import AssertionFormatError, parse_assertions
from monitors.probes.types import Assertion, Target


class UnusableConfigurationError(Exception):
    """This monitor's configuration cannot be used."""


def target_of(claim: Claim) -> Target:
    """Raises `UnusableConfigurationError` for what only plain SQL can write, and for headers whose
    key is gone."""
    assertions: tuple[Assertion, ...] = ()
    if claim.assertions not in ("[]", []):
        text = claim.assertions
        assertions = _parsed(text if isinstance(text, str) else json.dumps(text))
    return Target(
        kind=claim.kind,
        url=claim.url,
        method=claim.method,
        headers=_headers(claim) if claim.headers_sealed else {},
        body=claim.body,
        expected_status=claim.expected_status,
        keyword=claim.keyword,
        keyword_absent=claim.keyword_absent,
        assertions=assertions,
        follow_redirects=claim.follow_redirects,
        max_redirects=claim.max_redirects,
        timeout_seconds=claim.timeout_seconds,
        verify_tls=claim.verify_tls,
        min_tls_version=claim.min_tls_version,
        wants_certificate=_wants_certificate(claim),
    )


@lru_cache(maxsize=16_384)
def host_of(url: str) -> str:
    """The host as the URL names it; empty for a URL that names none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


@lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[Assertion, ...]:
    try:
        return parse_assertions(json.loads(text))
    except (AssertionFormatError, TypeError) as error:
        raise UnusableConfigurationError(f"Its assertions cannot be used: {error}") from error


def _wants_certificate(claim: Claim) -> bool:
    if not (claim.check_certificate and meets_certificate(claim.kind, claim.url)):
        return False
    return claim.next_certificate_at is None or claim.next_certificate_at <= claim.claimed_at


def _headers(claim: Claim) -> dict[str, str]:
    context = SealContext(
        tenant=str(claim.tenant_id),
        table=Monitor._meta.db_table,
        pk=str(claim.key),
        field="headers_sealed",
    )
    try:
        return dict(crypto.open(claim.headers_sealed or "", context=context))
    except crypto.SealError as error:
        raise UnusableConfigurationError("Its headers do not open: enter them again.") from error
