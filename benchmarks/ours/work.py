"""A job of ours, from a verb of the usual shape to its end."""

from __future__ import annotations

from functools import cache

from django.db import transaction

from benchmarks.ours.models import Noop
from benchmarks.work.models import write_start
from hostmaster.core.jobs import doorbells
from hostmaster.core.tenants.models import Tenant


def handle_noop(job: Noop) -> None:
    write_start(job.number)


def enqueue(number: int) -> None:
    with transaction.atomic():
        job = Noop.objects.create(tenant=_tenant(), number=number)
        doorbells.ring_job(job)


def prepare() -> None:
    """A caller of a verb holds its tenant already."""
    _tenant()


@cache
def _tenant() -> Tenant:
    return Tenant.objects.get_or_create(name="benchmark")[0]


def count_unfinished() -> int:
    return Noop.objects.open().count()


def count_failed() -> int:
    return Noop.objects.dead().count()
