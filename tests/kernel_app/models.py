"""Jobs and drains of no business, to try the kernel with."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from hostmaster.core.jobs.plain import PlainJob


class Errand(PlainJob):
    """One that does as its kind says."""

    kind = models.CharField(max_length=20, default="note")
    seconds = models.FloatField(default=0)
    secret = models.TextField(null=True)

    class Meta:
        constraints = [
            PlainJob.dedupe_constraint("errand_open_dedupe_key", ["waiting", "running"]),
        ]

    def final_fields(self) -> dict[str, object]:
        return {"secret": None}


class Start(models.Model):
    """One line each time a handler began: outside any fence, so repeats show."""

    errand = models.ForeignKey(Errand, models.CASCADE, related_name="starts")
    pid = models.IntegerField()
    at = models.DateTimeField(default=timezone.now)


class Effect(models.Model):
    """One line each settled success, written in the settling transaction."""

    errand = models.ForeignKey(Errand, models.CASCADE, related_name="effects")


class Parcel(models.Model):
    """A row a drain delivers."""

    drain = models.CharField(max_length=20)
    created_at = models.DateTimeField(default=timezone.now)
    delivered_at = models.DateTimeField(null=True)
