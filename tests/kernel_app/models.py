"""Jobs and drains of no business, to try the kernel with."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from hostmaster.core.jobs.models import DurableJob, DurableJobQuerySet


class Errand(DurableJob):
    """waiting → running → done, or failed, timed_out, cancelled."""

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        TIMED_OUT = "timed_out"
        CANCELLED = "cancelled"

    WAITING_STATE = State.WAITING
    CLAIMED_STATE = State.RUNNING
    RUNNING_STATES = frozenset({State.RUNNING})
    DONE_STATE = State.DONE
    FAILED_STATE = State.FAILED
    TIMED_OUT_STATE = State.TIMED_OUT
    CANCELLED_STATE = State.CANCELLED
    DEAD_STATES = frozenset({State.FAILED, State.TIMED_OUT})
    TRANSITIONS = {
        State.WAITING: frozenset({State.RUNNING, State.FAILED, State.CANCELLED}),
        State.RUNNING: frozenset(State) - {State.RUNNING},
        State.FAILED: frozenset({State.WAITING}),
        State.TIMED_OUT: frozenset({State.WAITING}),
    }

    kind = models.CharField(max_length=20, default="note")
    state = models.CharField(max_length=20, choices=State.choices, default=State.WAITING)
    seconds = models.FloatField(default=0)
    secret = models.TextField(null=True)

    objects = DurableJobQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dedupe_key"],
                condition=models.Q(state__in=["waiting", "running"]),
                name="errand_open_dedupe_key",
            )
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
