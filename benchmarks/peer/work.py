"""A task of django-q2, the way its documents show."""

from __future__ import annotations

from django_q.models import Failure, OrmQ
from django_q.tasks import async_task


def enqueue(number: int) -> None:
    async_task("benchmarks.work.models.write_start", number)


def prepare() -> None:
    """Nothing has to exist before a first task."""


def count_unfinished() -> int:
    """A message is deleted once its result is saved."""
    return int(OrmQ.objects.count())


def count_failed() -> int:
    return int(Failure.objects.count())
