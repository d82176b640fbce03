"""How every scan is asked for: a row, and a bell."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction

from hostmaster.core.jobs import doorbells, engine
from scans.models import ScanJob


def open_job(
    subject: dict[str, Any], *, ring: bool = True, claim: bool = False, **fields: Any
) -> ScanJob:
    """The open job of this subject, or a new one. Only a new one is rung, or instead `claim`ed
    for this process."""
    if (already := _find_open(subject)) is not None:
        return already
    job = ScanJob(**subject, **fields)
    try:
        with transaction.atomic():
            _insert(job, ring=ring, claim=claim)
    except IntegrityError:
        # Somebody else opened it meanwhile. Not there either: it was another constraint.
        if (already := _find_open(subject)) is not None:
            return already
        raise
    return job


def _insert(job: ScanJob, *, ring: bool, claim: bool) -> None:
    if claim:
        engine.create_claimed(job)
        return
    job.save(force_insert=True)
    if ring:
        doorbells.ring_job(job)


def _find_open(subject: dict[str, Any]) -> ScanJob | None:
    found: ScanJob | None = ScanJob.objects.open().filter(**subject).first()
    return found
