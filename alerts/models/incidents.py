"""What went wrong, from its first sight until it is over."""

from __future__ import annotations

import uuid
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from hostmaster.core.state import StateMachine


class IncidentStatus(models.TextChoices):
    OPEN = "open", "Open"  # nobody said that he cares
    ACKNOWLEDGED = "acknowledged", "Acknowledged"  # somebody is at it: no more reminders
    RESOLVED = "resolved", "Resolved"  # over, by itself or by a person


class Resolution(models.TextChoices):
    """How an incident ended."""

    RECOVERED = "recovered", "Recovered"  # the condition no longer holds
    BY_PERSON = "by_person", "Resolved by a person"
    MONITOR_PAUSED = "monitor_paused", "Monitor paused"
    MONITOR_REMOVED = "monitor_removed", "Monitor removed"
    RULE_CHANGED = "rule_changed", "Rule disabled or changed"


# Over though the condition still held: to open anew takes evidence that is newer.
ENDED_EARLY = [Resolution.BY_PERSON.value, Resolution.MONITOR_PAUSED.value]


class IncidentQuerySet(models.QuerySet["Incident"]):
    """Questions about many incidents."""

    def unresolved(self) -> Self:
        return self.exclude(status=IncidentStatus.RESOLVED)

    def unannounced(self) -> Self:
        """Written by others, plain SQL or ORM: not told to anybody yet."""
        return self.filter(announced_at__isnull=True)

    def ended_by_others(self) -> Self:
        """Told, then resolved by the statement of another program: nobody was told of the end."""
        resolved = self.filter(status=IncidentStatus.RESOLVED, resolution="")
        return resolved.filter(announced_at__isnull=False)

    def acknowledged_by_others(self) -> Self:
        """The same of an acknowledgement."""
        # Says `unresolved` too, though it follows: by its index SQLite finds them.
        acknowledged = self.unresolved().filter(status=IncidentStatus.ACKNOWLEDGED)
        return acknowledged.filter(acknowledged_at__isnull=True, announced_at__isnull=False)

    def suppressed(self) -> Self:
        """Nobody is told of them for now."""
        return self.exclude(suppress_reason="")


class Incident(StateMachine):
    """open → acknowledged; open, acknowledged → resolved.

    One that is not resolved for each rule and monitor, or rule and `subject` where it is about no
    monitor. `INSERT INTO incidents (id, monitor_id, alert_rule_id, started_at, status)` by another
    program is a whole incident, `UPDATE incidents SET status = …` its whole end: the evaluator
    adopts both.
    """

    Status = IncidentStatus
    STATE_FIELD = "status"
    TRANSITIONS = {
        IncidentStatus.OPEN: frozenset({IncidentStatus.ACKNOWLEDGED, IncidentStatus.RESOLVED}),
        IncidentStatus.ACKNOWLEDGED: frozenset({IncidentStatus.RESOLVED}),
        IncidentStatus.RESOLVED: frozenset(),
    }

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    monitor = models.ForeignKey(
        "monitors.Monitor", models.SET_NULL, null=True, blank=True, related_name="incidents"
    )
    alert_rule = models.ForeignKey(
        "alerts.AlertRule", models.CASCADE, related_name="incidents", db_index=False
    )
    started_at = models.DateTimeField(default=timezone.now)
    resolved_at = models.DateTimeField(null=True, blank=True)
    status = models.CharField(
        max_length=20, choices=IncidentStatus.choices, default=IncidentStatus.OPEN
    )
    trigger_value = models.TextField(null=True, blank=True)
    notified_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, db_default=Now(), editable=False)
    # Ours: null or with a default in the database.
    tenant = models.ForeignKey(
        "tenants.Tenant", models.CASCADE, null=True, blank=True, related_name="incidents"
    )
    subject = models.CharField(
        max_length=200,
        blank=True,
        default="",
        db_default="",
        help_text="What it is about, as the evaluator tells things apart.",
    )
    title = models.CharField(
        max_length=300, blank=True, default="", db_default="", help_text="One line for people."
    )
    severity = models.CharField(max_length=10, blank=True, default="", db_default="")
    version = models.PositiveIntegerField(default=1, db_default=1, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, db_default=Now(), editable=False)
    announced_at = models.DateTimeField(
        null=True, blank=True, help_text="Empty: written by others, not adopted yet."
    )
    reminded_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    resolution = models.CharField(
        max_length=20, choices=Resolution.choices, blank=True, default="", db_default=""
    )
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    note = models.TextField(
        blank=True, default="", db_default="", help_text="The last note; all are in the timeline."
    )
    suppressed_by = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="suppresses",
        help_text="The incident of a monitor this one depends on.",
    )
    suppress_reason = models.TextField(
        blank=True, default="", db_default="", help_text="Why nobody is told; empty: they are."
    )

    objects = IncidentQuerySet.as_manager()

    class Meta:
        db_table = "incidents"
        ordering = ["-started_at", "pk"]
        indexes = [
            models.Index(fields=["tenant", "status", "-started_at"], name="incidents_tenant"),
            models.Index(fields=["alert_rule", "-started_at"], name="incidents_rule"),
            models.Index(
                fields=["status"],
                condition=~Q(status=IncidentStatus.RESOLVED.value),
                name="incidents_unresolved",
            ),
            models.Index(
                fields=["alert_rule"],
                condition=Q(resolution__in=ENDED_EARLY),
                name="incidents_ended_early",
            ),
            models.Index(
                fields=["id"], condition=Q(announced_at__isnull=True), name="incidents_unannounced"
            ),
            models.Index(
                fields=["id"],
                condition=Q(status=IncidentStatus.RESOLVED.value, resolution=""),
                name="incidents_ended_by_others",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["alert_rule", "monitor"],
                condition=~Q(status=IncidentStatus.RESOLVED.value),
                name="incidents_one_open_monitor",
            ),
            # Rows of other programs may have neither: they are never the same as another.
            models.UniqueConstraint(
                fields=["alert_rule", "subject"],
                condition=Q(monitor__isnull=True)
                & ~Q(subject="")
                & ~Q(status=IncidentStatus.RESOLVED.value),
                name="incidents_one_open_subject",
            ),
            models.CheckConstraint(
                condition=Q(status__in=IncidentStatus.values), name="incidents_status_known"
            ),
        ]

    def __str__(self) -> str:
        return self.title or f"Incident {self.pk}"

    @property
    def is_resolved(self) -> bool:
        return self.status == IncidentStatus.RESOLVED

    @property
    def is_suppressed(self) -> bool:
        return bool(self.suppress_reason)


class IncidentEventKind(models.TextChoices):
    OPENED = "opened", "Opened"
    ADOPTED = "adopted", "Adopted"  # another program wrote it
    ACKNOWLEDGED = "acknowledged", "Acknowledged"
    NOTED = "noted", "Noted"
    REMINDED = "reminded", "Reminded"
    SUPPRESSED = "suppressed", "Suppressed"  # nobody is told, `note` says why
    RELEASED = "released", "Released"  # the reason for silence is over: told now
    RESOLVED = "resolved", "Resolved"


class IncidentEvent(models.Model):
    """One line of an incident's timeline, written with the change it tells of and never altered."""

    Kind = IncidentEventKind

    incident = models.ForeignKey(Incident, models.CASCADE, related_name="events")
    kind = models.CharField(max_length=20, choices=IncidentEventKind.choices)
    actor = models.CharField(max_length=200, blank=True, default="")
    note = models.TextField(blank=True, default="")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "incident_events"
        ordering = ["at", "pk"]
        indexes = [models.Index(fields=["incident", "at"], name="incident_events_incident")]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=IncidentEventKind.values), name="incident_events_kind_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.at:%Y-%m-%d %H:%M:%S}"
