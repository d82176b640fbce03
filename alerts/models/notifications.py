"""The outbox: one row for each message that a channel owes, and one for each try."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Self

from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone

from alerts import retry_tables
from hostmaster.core.clock import DatabaseNow
from hostmaster.core.jobs.models import DurableJob, DurableJobQuerySet, JobEvent


class Event(models.TextChoices):
    """What about an incident is told."""

    OPENED = "opened", "Opened"
    ACKNOWLEDGED = "acknowledged", "Acknowledged"
    REMINDER = "reminder", "Still open"
    RESOLVED = "resolved", "Resolved"


class NotificationState(models.TextChoices):
    PENDING = "PENDING", "Pending"  # waits for its turn, its next try or its digest
    SENDING = "SENDING", "Sending"  # claimed; the lease says until when
    SENT = "SENT", "Sent"  # the channel took it, alone or in a digest
    FAILED = "FAILED", "Failed"  # dead letter: tried as often as its channel allows
    EXPIRED = "EXPIRED", "Expired"  # dead letter: too old to be of use before the channel was back
    SUPPRESSED = "SUPPRESSED", "Suppressed"  # not to be sent; `suppress_reason` says why
    CANCELLED = "CANCELLED", "Cancelled"  # by a person


OPEN_STATES = [NotificationState.PENDING, NotificationState.SENDING]
_PENDING, _SENDING = OPEN_STATES
_FINAL = frozenset(NotificationState) - {_PENDING, _SENDING}


class NotificationQuerySet(DurableJobQuerySet):
    """Notifications, in the words of durable jobs."""

    def sent(self) -> Self:
        return self.filter(state=NotificationState.SENT)


class Notification(DurableJob):
    """PENDING → SENDING → SENT; SENDING → PENDING for another try; not final → FAILED, EXPIRED,
    SUPPRESSED or CANCELLED; a digest's rows go PENDING → SENT with it; any final → PENDING when a
    person replays it.

    Worked off by the drain `notifications`, never by the engine. Its key is the message's id at
    the receiver, the same at every try.
    """

    Event = Event
    State = NotificationState
    TRANSITIONS = {
        _PENDING: frozenset(NotificationState) - {_PENDING},
        _SENDING: frozenset(NotificationState) - {_SENDING},
        **{state: frozenset({_PENDING}) for state in _FINAL},
    }
    WAITING_STATE = NotificationState.PENDING
    CLAIMED_STATE = NotificationState.SENDING
    RUNNING_STATES = frozenset({_SENDING.value})
    DONE_STATE = NotificationState.SENT
    FAILED_STATE = NotificationState.FAILED
    TIMED_OUT_STATE = NotificationState.FAILED
    CANCELLED_STATE = NotificationState.CANCELLED
    DEAD_STATES = frozenset({NotificationState.FAILED.value, NotificationState.EXPIRED.value})

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    incident = models.ForeignKey("alerts.Incident", models.CASCADE, related_name="notifications")
    channel = models.ForeignKey("alerts.AlertChannel", models.CASCADE, related_name="notifications")
    event = models.CharField(max_length=20, choices=Event.choices, default=Event.OPENED)
    seq = models.PositiveIntegerField(
        default=1, help_text="Order of delivery for one incident and channel."
    )
    state = models.CharField(
        max_length=20,
        choices=NotificationState.choices,
        default=NotificationState.PENDING,
        editable=False,
    )
    payload = models.JSONField(
        default=dict, editable=False, help_text="What is told, as it was when it happened."
    )
    suppress_reason = models.TextField(blank=True, default="", editable=False)
    digest = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="folded",
        help_text="The notification whose message tells this one as well.",
    )
    deliver_by = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Not sent after (UTC)."
    )
    refusals = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="Tries that the channel refused for good."
    )
    is_replay = models.BooleanField(
        "replayed", default=False, editable=False, help_text="Sent again because a person asked."
    )

    objects = NotificationQuerySet.as_manager()

    class Meta:
        db_table = "notifications"
        ordering = ["-created_at", "pk"]
        indexes = [
            models.Index(
                fields=["channel", "run_at"],
                condition=Q(state=_PENDING, digest__isnull=True),
                name="notifications_due",
            ),
            models.Index(
                fields=["channel", "lease_until"],
                condition=Q(state=_SENDING),
                name="notifications_leases",
            ),
            models.Index(fields=["state", "finished_at"], name="notifications_finished"),
            models.Index(fields=["tenant", "-created_at"], name="notifications_tenant"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["incident", "channel", "seq"], name="notifications_seq_unique"
            ),
            models.CheckConstraint(
                condition=Q(state__in=NotificationState.values), name="notifications_state_known"
            ),
            models.CheckConstraint(
                condition=Q(event__in=Event.values), name="notifications_event_known"
            ),
            models.CheckConstraint(
                condition=~Q(state=NotificationState.SUPPRESSED) | ~Q(suppress_reason=""),
                name="notifications_suppressed_why",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_event_display()} → {self.channel_id}"

    @property
    def message_id(self) -> str:
        """What the receiver tells a repeat by."""
        return f"msg_{self.pk}"

    def attempts_allowed(self) -> int:
        return self.max_attempts or retry_tables.attempts_allowed(self.channel.type)

    def retry(self, *, actor: str = "") -> bool:
        """Revive a dead letter: all tries anew, history kept. `False`: it is not dead."""
        return self.is_dead and self.replay(actor=actor)

    def replay(self, *, actor: str = "") -> bool:
        """Deliver once more, whatever became of it, silences ignored: a person asks for it.

        `False`: it is open still, or somebody was first. The receiver gets the same message id.
        """
        if self.is_open:
            return False
        now = timezone.now()
        done = self.advance(
            self.WAITING_STATE,
            actor=actor,
            reason="Replayed.",
            attempts=0,
            refusals=0,
            run_at=DatabaseNow(),
            finished_at=None,
            suppress_reason="",
            digest=None,
            is_replay=True,
            deliver_by=retry_tables.deliver_by(self.channel.type, now),
        )
        return done and self._ring()

    def _advance_and_record(
        self, guard: Q, to: str, actor: str, reason: str, fields: Mapping[str, Any]
    ) -> bool:
        """As every job, but only what a person does leaves a JobEvent: tries have rows of their
        own."""
        came_from = self.current_state
        if to not in self.open_states():
            over = {"finished_at": timezone.now(), "lease_until": None, "lease_owner": ""}
            fields = {**over, **fields}
        # Without a savepoint of its own: those were a fifth of what a delivery asks the database.
        with transaction.atomic(savepoint=False):
            done = self._advance(guard, to, fields)
            if done and to not in self.open_states():
                self._settle_folded(to, fields)
            if done and actor:
                JobEvent.objects.create(
                    tenant_id=self.tenant_id,
                    label=self._meta.label,
                    object_id=str(self.pk),
                    from_state=came_from,
                    to_state=to,
                    actor=actor,
                    reason=reason[:2000],
                )
        return done

    def know_alone(self) -> None:
        """Whoever claimed this row has seen that it tells no other one: nobody need look again."""
        self._is_alone = True

    @property
    def is_alone(self) -> bool:
        """It is known to tell no other row."""
        return bool(getattr(self, "_is_alone", False))

    def _settle_folded(self, to: str, fields: Mapping[str, Any]) -> None:
        """What a digest told is sent with it; what it did not tell waits for another message."""
        if self.is_alone:
            return
        folded = self.folded.waiting()
        if to == self.DONE_STATE:
            at = fields["finished_at"]
            folded.update(state=to, finished_at=at, updated_at=at, version=F("version") + 1)
        else:
            folded.update(digest=None, version=F("version") + 1)


class DeliveryAttempt(models.Model):
    """One try to deliver a notification, or one test of a channel."""

    tenant = models.ForeignKey("tenants.Tenant", models.CASCADE, related_name="+")
    channel = models.ForeignKey("alerts.AlertChannel", models.CASCADE, related_name="attempts")
    notification = models.ForeignKey(
        "alerts.Notification",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="deliveries",
        help_text="Empty: a test of the channel.",
    )
    no = models.PositiveIntegerField("number", default=1)
    started_at = models.DateTimeField(default=timezone.now)
    ms = models.PositiveIntegerField("milliseconds", null=True, blank=True)
    status_code = models.PositiveSmallIntegerField("status", null=True, blank=True)
    ok = models.BooleanField("delivered", default=False)
    error_class = models.CharField(max_length=40, blank=True, default="")
    error = models.TextField(blank=True, default="")
    reply = models.TextField(
        blank=True, default="", help_text="At most 1 KiB of the answer, secrets masked."
    )

    class Meta:
        db_table = "delivery_attempts"
        ordering = ["started_at", "pk"]
        indexes = [
            models.Index(fields=["channel", "-started_at"], name="delivery_attempts_channel"),
            models.Index(fields=["started_at"], name="delivery_attempts_started"),
        ]

    def __str__(self) -> str:
        return f"Try {self.no}: {'delivered' if self.ok else self.error_class}"
