"""Runs URL scans."""

from __future__ import annotations

from collections.abc import Mapping

from hostmaster.core.jobs.retry import PermanentError
from scans.models import ScanJob


class FetcherMissingError(PermanentError):
    """This release cannot scan URLs: it has no page fetcher yet."""


def handle_url_scan(job: ScanJob) -> Mapping[str, object]:
    """Fails, and says why: a scan that fetched nothing must not look done."""
    raise FetcherMissingError(str(FetcherMissingError.__doc__))
