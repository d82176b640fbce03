"""The hot row of a monitor: when it is due, who is at it, what was last seen."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from hostmaster.core.clock import DatabaseNow
from monitors.models.monitors import MonitorStatus


class MonitorRunQuerySet(models.QuerySet["MonitorRun"]):
    """Questions about many runs."""

    def due(self) -> Self:
        """To be checked now, by the database's clock. Claimed ones are not: their lease is their
        `next_check_at`."""
        return self.filter(next_check_at__lte=DatabaseNow())


class MonitorRun(models.Model):
    """One a monitor, apart from the configuration: it is written at every check.

    `next_check_at` doubles as the lease: a claim pushes it out by time-out + 20 s, so a dead
    worker's monitor becomes due by itself. `seq` is the fencing token, one more with each claim; a
    result that brings an older one changes nothing.
    """

    State = MonitorStatus

    monitor = models.OneToOneField(
        "monitors.Monitor", models.CASCADE, primary_key=True, related_name="run"
    )
    tenant = models.ForeignKey("tenants.Tenant", models.CASCADE, related_name="+")
    phase_ms = models.PositiveIntegerField(
        default=0, help_text="Its place in the interval: a hash of its id."
    )
    next_check_at = models.DateTimeField(null=True, blank=True, help_text="Empty: paused.")
    due_at = models.DateTimeField(
        null=True, blank=True, help_text="When the last claimed check was due."
    )
    held_back_since = models.DateTimeField(
        null=True, blank=True, help_text="When it was due, if its host was too busy then."
    )
    lease_by = models.CharField(max_length=200, blank=True, default="")
    lease_until = models.DateTimeField(null=True, blank=True)
    seq = models.BigIntegerField(default=0)
    config_version = models.PositiveIntegerField(
        default=0, help_text="Of the last check's monitor."
    )
    state = models.CharField(
        max_length=10, choices=MonitorStatus.choices, default=MonitorStatus.UNKNOWN
    )
    state_since = models.DateTimeField(default=timezone.now)
    pending_since = models.DateTimeField(
        null=True, blank=True, help_text="The first check that speaks against `state`."
    )
    unseen_since = models.DateTimeField(
        null=True, blank=True, help_text="It was up until our own outage hid it."
    )
    failures = models.PositiveIntegerField(default=0, help_text="In a row, up to the last check.")
    successes = models.PositiveIntegerField(default=0, help_text="In a row, up to the last check.")
    last_checked_at = models.DateTimeField(null=True, blank=True)
    last_success = models.BooleanField(null=True, blank=True)
    last_response_ms = models.PositiveIntegerField(null=True, blank=True)
    last_status_code = models.PositiveIntegerField(null=True, blank=True)
    last_error = models.TextField(blank=True, default="")
    next_certificate_at = models.DateTimeField(null=True, blank=True)
    ssl_valid = models.BooleanField(null=True, blank=True)
    ssl_reason = models.TextField(blank=True, default="")
    ssl_expires_at = models.DateTimeField(null=True, blank=True)
    certificates = models.JSONField(default=list, blank=True)

    objects = MonitorRunQuerySet.as_manager()

    class Meta:
        db_table = "monitor_runs"
        indexes = [
            models.Index(
                fields=["next_check_at"],
                condition=Q(next_check_at__isnull=False),
                name="monitor_runs_due",
            ),
            models.Index(
                fields=["lease_by"], condition=~Q(lease_by=""), name="monitor_runs_leased"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=MonitorStatus.values), name="monitor_runs_state_known"
            ),
        ]

    def __str__(self) -> str:
        return f"run of {self.monitor_id}"
