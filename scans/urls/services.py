"""Verbs on URL scans."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError

from hostmaster.core.tenants.models import Tenant
from scans.models import ScanJob, ScanKind
from scans.requests import open_job

LONGEST_URL = 8192


def request_url_scan(
    tenant: Tenant, url: str, *, requested_by: str = "", ring: bool = True, claim: bool = False
) -> ScanJob:
    """Ask for a scan of a page. The one that is already open for this URL, if there is one.

    `claim`: a new one is the caller's to run.
    """
    url = _checked_url(url)
    digest = hashlib.sha256(url.encode()).hexdigest()
    return open_job(
        {"dedupe_key": f"url:{tenant.pk}:{digest}"},
        ring=ring,
        claim=claim,
        tenant=tenant,
        kind=ScanKind.URL,
        url=url,
        requested_by=requested_by,
    )


def _checked_url(url: str) -> str:
    url = url.strip()
    if len(url) > LONGEST_URL:
        raise ValidationError({"url": f"A URL has at most {LONGEST_URL} characters."})
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        raise ValidationError({"url": "This is not a URL."}) from error
    if parts.scheme not in {"http", "https"} or not host:
        raise ValidationError({"url": "A URL to scan begins with http:// or https://."})
    return url
