from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone


class Start(models.Model):
    """The work of every job of a benchmark, ours and the peer's: this one row."""

    number = models.IntegerField()
    at = models.DateTimeField()

    objects: ClassVar[models.Manager[Start]] = models.Manager()


def write_start(number: int) -> None:
    """The clock is read before the row is written: a start is the handler's first line."""
    now = timezone.now()
    Start.objects.create(number=number, at=now)
