"""A job with one state of each meaning, for a table that needs no words of its own."""

from __future__ import annotations

from django.db import models

from hostmaster.core.jobs.models import DurableJob, DurableJobQuerySet


class PlainJob(DurableJob):
    """waiting → running → done, or failed, timed_out, cancelled; dead → waiting.

    Abstract: a table adds its fields, and in `Meta` `indexes` and `dedupe_constraint`.
    """

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

    state = models.CharField(max_length=20, choices=State.choices, default=State.WAITING)

    objects = DurableJobQuerySet.as_manager()

    class Meta:
        abstract = True
