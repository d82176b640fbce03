"""What the system knows about itself: its log, its processes, its components."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.state import VersionedModel


class SystemLog(models.Model):
    """One event an operator should be able to read later. Kept 90 days, secrets masked."""

    class Level(models.TextChoices):
        INFO = "info"
        WARNING = "warning"
        ERROR = "error"
        CRITICAL = "critical"

    component = models.CharField(max_length=100)
    level = models.CharField(max_length=10, choices=Level.choices)
    message = models.TextField()
    context = models.JSONField(default=dict, blank=True)
    timestamp = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "system_logs"
        ordering = ["-timestamp", "-pk"]
        indexes = [
            models.Index(fields=["-timestamp", "-id"], name="system_logs_timestamp"),
            models.Index(fields=["component", "-timestamp"], name="system_logs_component"),
        ]
        verbose_name = "system log entry"
        verbose_name_plural = "system log"

    def __str__(self) -> str:
        return f"{self.component}: {self.message[:80]}"


class Heartbeat(models.Model):
    """The last sign of life of one process. Rows of processes that are gone are pruned."""

    class Kind(models.TextChoices):
        WORKER = "worker"  # runs jobs
        LANE = "lane"  # the parent of a lane's workers
        SUPERVISOR = "supervisor"  # the parent of the lanes

    name = models.CharField(max_length=200, primary_key=True)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    lane = models.CharField(
        max_length=20, blank=True, default="", choices=[(lane.value, lane.value) for lane in Lane]
    )
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    started_at = models.DateTimeField(default=timezone.now)
    beat_at = models.DateTimeField(default=timezone.now)
    rss_bytes = models.PositiveBigIntegerField(default=0)
    cpu_seconds = models.FloatField(default=0.0)
    jobs_done = models.PositiveBigIntegerField(default=0)

    class Meta:
        db_table = "heartbeats"
        ordering = ["lane", "name"]
        indexes = [models.Index(fields=["beat_at"], name="heartbeats_beat_at")]

    def __str__(self) -> str:
        return self.name


class Status(models.TextChoices):
    """How a component fares."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"  # works, slower or less than it should
    CRITICAL = "critical"  # does not do its work
    UNKNOWN = "unknown"  # has never reported: not healthy
    NOT_CONFIGURED = "not_configured"  # an optional part nobody asked for


class ComponentState(VersionedModel):
    """A component as the monitor judges it: confirmed, without flapping."""

    component = models.CharField(max_length=100, primary_key=True)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.UNKNOWN)
    since = models.DateTimeField(default=timezone.now)
    message = models.TextField(blank=True, default="")
    bad_rounds = models.PositiveIntegerField(default=0)
    good_rounds = models.PositiveIntegerField(default=0)
    detail = models.JSONField(default=dict, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "component_states"
        ordering = ["component"]

    def __str__(self) -> str:
        return f"{self.component}: {self.status}"


class WriteProbe(models.Model):
    """The one row that the check of the database writes to prove that it can."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    written_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "health_write_probe"
        constraints = [
            models.CheckConstraint(condition=models.Q(id=1), name="health_write_probe_one_row")
        ]

    def __str__(self) -> str:
        return self.written_at.isoformat()
