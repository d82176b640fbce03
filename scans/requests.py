"""How every scan is asked for: a row, and a bell."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction

from hostmaster.core.jobs import doorbells
from scans.models import ScanJob


def open_job(subject: dict[str, Any], *, ring: bool, **fields: Any) -> ScanJob:
    """The open job of this subject, or a new one. Only a new one is rung."""
    already = ScanJob.objects.open().filter(**subject)
    found: ScanJob | None = already.first()
    if found is not None:
        return found
    try:
        with transaction.atomic():
            job: ScanJob = ScanJob.objects.create(**subject, **fields)
            if ring:
                doorbells.ring_job(job)
    except IntegrityError:
        # Somebody else opened it meanwhile. Not there either: it was another constraint.
        if (found := already.first()) is None:
            raise
        return found
    return job
