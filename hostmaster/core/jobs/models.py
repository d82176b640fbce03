"""A durable job: one row is the truth, whatever happens to messages and processes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Self

from django.db import IntegrityError, models, transaction
from django.db.models import Q
from django.utils import timezone

from hostmaster.core import logs
from hostmaster.core.clock import DatabaseNow
from hostmaster.core.jobs import doorbells
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.live.services import publish
from hostmaster.core.registry import JobKind, get_registry
from hostmaster.core.state import StateMachine


class LeaseLostError(Exception):
    """This job was taken away from its worker: cancelled, or its lease ran out."""


class JobAlreadyOpenError(Exception):
    """Another job for the same thing is already open."""


class DurableJobQuerySet(models.QuerySet[Any]):
    """Questions about many jobs, in the words every kind shares."""

    model: type[DurableJob]

    def in_states(self, states: frozenset[str]) -> Self:
        return self.filter(**{f"{self.model.STATE_FIELD}__in": sorted(states)})

    def waiting(self) -> Self:
        return self.in_states(frozenset({self.model.WAITING_STATE}))

    def due(self) -> Self:
        """Waiting, and their time has come."""
        return self.waiting().filter(run_at__lte=DatabaseNow())

    def running(self) -> Self:
        return self.in_states(self.model.RUNNING_STATES)

    def expired(self) -> Self:
        """Claimed by somebody whose lease ran out: killed, hung or cut off."""
        return self.running().filter(lease_until__lt=DatabaseNow())

    def open(self) -> Self:
        return self.in_states(self.model.open_states())

    def held_by_lane(self, instance: str) -> Self:
        """Running, claimed by a worker of this lane process."""
        return self.running().filter(lease_owner__startswith=f"{instance}/")

    def dead(self) -> Self:
        """Dead letters: failed for good until a person retries them."""
        return self.in_states(self.model.DEAD_STATES)

    def of_kind(self, kind: str) -> Self:
        return self.filter(kind=kind) if self.model.has_kinds() else self.all()


class DurableJob(StateMachine):
    """A row that a lane works off: waiting → running … → final, each step guarded.

    A subclass states its states and, in its app's `registry.py`, a `JobKind` for each kind. The
    version is the fencing token: a claim raises it, so a zombie's settle changes nothing.
    """

    WAITING_STATE: ClassVar[str]
    CLAIMED_STATE: ClassVar[str]  # the running state a claim moves to
    RUNNING_STATES: ClassVar[frozenset[str]]
    DONE_STATE: ClassVar[str]
    FAILED_STATE: ClassVar[str]
    TIMED_OUT_STATE: ClassVar[str]
    CANCELLED_STATE: ClassVar[str]
    DEAD_STATES: ClassVar[frozenset[str]]

    tenant = models.ForeignKey("tenants.Tenant", models.CASCADE, related_name="+")
    attempts = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="Counted at the claim, so a killed worker counts."
    )
    max_attempts = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Empty: as often as this kind of job is tried."
    )
    run_at = models.DateTimeField(default=timezone.now, help_text="Not started before (UTC).")
    deadline_at = models.DateTimeField(null=True, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    lease_owner = models.CharField(max_length=200, blank=True, default="", editable=False)
    dedupe_key = models.CharField(max_length=200, null=True, blank=True)
    errors = models.JSONField(
        default=list,
        blank=True,
        editable=False,
        help_text="One entry a failed attempt: at, attempt, type, message, retryable.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        abstract = True

    @classmethod
    def open_states(cls) -> frozenset[str]:
        return cls.RUNNING_STATES | {cls.WAITING_STATE}

    @classmethod
    def has_kinds(cls) -> bool:
        """A model without a `kind` column is one kind, named as the model."""
        return any(field.name == "kind" for field in cls._meta.get_fields())

    @classmethod
    def dedupe_constraint(cls, name: str, open_states: list[str]) -> models.UniqueConstraint:
        """`dedupe_key` is unique while a job is not final."""
        condition = Q(**{f"{cls.STATE_FIELD}__in": open_states})
        return models.UniqueConstraint(fields=["dedupe_key"], condition=condition, name=name)

    @property
    def job_kind(self) -> JobKind:
        """How this kind of job is run. Raises `RegistryError` for a kind nobody registered."""
        return get_registry().job_kind(self._meta.label, self.kind_name())

    def kind_name(self) -> str:
        return str(getattr(self, "kind", self._meta.model_name))

    def attempts_allowed(self) -> int:
        return self.max_attempts or self.job_kind.retry.attempts_allowed()

    @property
    def is_open(self) -> bool:
        return self.current_state in self.open_states()

    @property
    def is_running(self) -> bool:
        return self.current_state in self.RUNNING_STATES

    @property
    def is_dead(self) -> bool:
        return self.current_state in self.DEAD_STATES

    def final_fields(self) -> Mapping[str, object]:
        """Fields every final state writes in its own UPDATE, such as secrets to forget."""
        return {}

    def advance(self, to: str, *, actor: str = "", reason: str = "", **fields: Any) -> bool:
        """As `StateMachine.advance`, with a `JobEvent` in the same transaction.

        Leaving a running state also needs a lease that still holds: what an expired lease
        settles changes nothing, swept or not.
        """
        guard = Q(lease_until__gt=DatabaseNow()) if self.is_running else Q()
        return self._advance_and_record(guard, to, actor, reason, fields)

    def take(self, guard: Q, *, actor: str, **fields: Any) -> bool:
        """Claim a waiting row for the holder named in `fields`."""
        return self._advance_and_record(guard, self.CLAIMED_STATE, actor, "", fields)

    def take_from_holder(
        self, guard: Q, to: str, *, actor: str, reason: str, **fields: Any
    ) -> bool:
        """Move a row whoever holds it; what must hold besides is in `guard`."""
        return self._advance_and_record(guard, to, actor, reason, fields)

    def retry(self, *, actor: str = "") -> bool:
        """Revive a dead letter: all its kind's attempts anew, history kept. `False`: not dead.

        Raises `JobAlreadyOpenError` while another job for the same thing is open.
        """
        if not self.is_dead:
            return False
        anew = {
            "attempts": 0,
            "max_attempts": None,  # whoever wanted fewer wanted them of that time
            "run_at": DatabaseNow(),
            "finished_at": None,
            "deadline_at": None,
        }
        try:
            with transaction.atomic():
                done = self.advance(self.WAITING_STATE, actor=actor, reason="Retried.", **anew)
        except IntegrityError as error:
            raise JobAlreadyOpenError(str(JobAlreadyOpenError.__doc__)) from error
        return done and self._ring()

    def cancel(self, *, actor: str = "", reason: str = "Cancelled.") -> bool:
        """End an open job. One that runs is taken from its worker, whose result is then dropped.

        A running job's progress raises its version each second: read again and tried again, which
        ends, because a final job cannot be cancelled. Raises `InvalidTransitionError` for one.
        """
        while not self.take_from_holder(Q(), self.CANCELLED_STATE, actor=actor, reason=reason):
            self.refresh_from_db()
            if not self.is_open:
                return False
        return True

    def run_now(self, *, actor: str = "") -> bool:
        """Do not wait for `run_at`. `False` unless the job waits."""
        if self.current_state != self.WAITING_STATE:
            return False
        return self.update_guarded(run_at=DatabaseNow()) and self._ring()

    def _ring(self) -> bool:
        doorbells.ring_job(self)
        return True

    def watch_lease(self, lost: threading.Event) -> None:
        """The engine says how this instance learns that it was taken away."""
        self._lease_lost = lost

    def ensure_claimed(self) -> None:
        """For handlers, between steps. Raises `LeaseLostError` once the job is somebody else's."""
        lost: threading.Event | None = getattr(self, "_lease_lost", None)
        if lost is not None and lost.is_set():
            raise LeaseLostError(str(LeaseLostError.__doc__))

    def _advance_and_record(
        self, guard: Q, to: str, actor: str, reason: str, fields: Mapping[str, Any]
    ) -> bool:
        came_from = self.current_state
        if to not in self.open_states():
            fields = {
                "finished_at": timezone.now(),
                "lease_until": None,
                "lease_owner": "",
                **self.final_fields(),
                **fields,
            }
        with transaction.atomic():
            if not self._advance(guard, to, fields):
                return False
            JobEvent.objects.create(
                tenant_id=self.tenant_id,
                label=self._meta.label,
                object_id=str(self.pk),
                from_state=came_from,
                to_state=to,
                actor=actor,
                reason=reason[:2000],
            )
            told = {"label": self._meta.label, "id": str(self.pk), "kind": self.kind_name()}
            publish(self.tenant_id, "job", told | {"from": came_from, "to": str(to)})
            log = partial(logs.log_transition, self._meta.label, self.pk, came_from, to)
            about = {"tenant": self.tenant_id, "actor": actor, "reason": reason}
            transaction.on_commit(partial(log, **about, kind=self.kind_name()))
        return True


class JobEvent(models.Model):
    """One transition of a job: from what, to what, by whom, why. Kept 90 days."""

    tenant = models.ForeignKey("tenants.Tenant", models.CASCADE, null=True, related_name="+")
    label = models.CharField(max_length=100)
    object_id = models.CharField(max_length=64)
    from_state = models.CharField(max_length=30)
    to_state = models.CharField(max_length=30)
    actor = models.CharField(max_length=200, blank=True, default="")
    reason = models.TextField(blank=True, default="")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "job_events"
        ordering = ["at", "pk"]
        indexes = [
            models.Index(fields=["label", "object_id", "at"], name="job_events_object"),
            models.Index(fields=["at"], name="job_events_at"),
        ]

    def __str__(self) -> str:
        return f"{self.from_state} → {self.to_state}"


class Lease(models.Model):
    """A name held by one process at a time, by the database's clock."""

    name = models.CharField(max_length=150, primary_key=True)
    owner = models.CharField(max_length=200)
    until = models.DateTimeField()

    class Meta:
        db_table = "leases"

    def __str__(self) -> str:
        return self.name


class ScheduleState(models.Model):
    """How a schedule of the registry fared: shown in the admin, judged by /health.

    When it is due next is django-q2's `Schedule` row of the same name.
    """

    name = models.CharField(max_length=100, primary_key=True)
    lane = models.CharField(max_length=20, choices=[(lane.value, lane.value) for lane in Lane])
    cron = models.CharField(max_length=100)
    description = models.TextField(blank=True, default="")
    last_started_at = models.DateTimeField(null=True, blank=True)
    last_finished_at = models.DateTimeField(null=True, blank=True)
    last_duration_seconds = models.FloatField(null=True, blank=True)
    last_processed = models.PositiveIntegerField(null=True, blank=True)
    last_succeeded = models.PositiveIntegerField(null=True, blank=True)
    last_failed = models.PositiveIntegerField(null=True, blank=True)
    last_error = models.TextField(blank=True, default="")
    next_run_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "schedule_states"
        ordering = ["name"]
        verbose_name = "schedule"

    def __str__(self) -> str:
        return self.name

    def is_late(self, now: datetime, grace: timedelta) -> bool:
        """Its next run should have started more than `grace` ago."""
        return self.next_run_at is not None and self.next_run_at + grace < now
