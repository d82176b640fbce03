"""What stays of checks after 48 hours: sums that add up, maxima, and histograms that merge."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import Q


class RollupPeriod(models.TextChoices):
    FIVE_MINUTES = "5m", "5 minutes"  # written with every check, kept 14 days
    HOUR = "1h", "1 hour"  # folded from 5m, kept 400 days
    DAY = "1d", "1 day"  # folded from 1h, kept for good


class MonitorRollupQuerySet(models.QuerySet["MonitorRollup"]):
    """Questions about many roll-ups."""

    def unfilled(self) -> Self:
        """They do not say how long it was up: the open buckets, and those just closed. The partial
        index `monitor_rollups_unfilled` holds exactly these."""
        return self.filter(seconds_up=None)


class MonitorRollup(models.Model):
    """One monitor's checks in one bucket of time.

    Every column adds up (or is a maximum), so folding is exact. `*_ms_sum` and the histogram are
    over the `timed` checks, those that brought a response time. `histogram` is words `bin:count`;
    joining two texts merges them, so an upsert can do it (see `monitors.histograms`).
    """

    Period = RollupPeriod

    monitor = models.ForeignKey(
        "monitors.Monitor", models.CASCADE, related_name="rollups", db_index=False
    )
    period = models.CharField(max_length=2, choices=RollupPeriod.choices)
    bucket = models.DateTimeField(help_text="Where it begins.")
    checks = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    timed = models.PositiveIntegerField(default=0)
    response_ms_sum = models.BigIntegerField(default=0)
    response_ms_max = models.PositiveIntegerField(default=0)
    dns_ms_sum = models.BigIntegerField(default=0)
    dns_ms_max = models.PositiveIntegerField(default=0)
    connect_ms_sum = models.BigIntegerField(default=0)
    connect_ms_max = models.PositiveIntegerField(default=0)
    tls_ms_sum = models.BigIntegerField(default=0)
    tls_ms_max = models.PositiveIntegerField(default=0)
    ttfb_ms_sum = models.BigIntegerField(default=0)
    ttfb_ms_max = models.PositiveIntegerField(default=0)
    transfer_ms_sum = models.BigIntegerField(default=0)
    transfer_ms_max = models.PositiveIntegerField(default=0)
    histogram = models.TextField(default="", blank=True)
    # From the state intervals, once the bucket is over; null until then.
    seconds_up = models.FloatField(null=True, blank=True)
    seconds_down = models.FloatField(null=True, blank=True)
    seconds_unknown = models.FloatField(null=True, blank=True)
    seconds_maintenance = models.FloatField(null=True, blank=True)

    objects = MonitorRollupQuerySet.as_manager()

    class Meta:
        db_table = "monitor_rollups"
        ordering = ["monitor", "period", "bucket"]
        indexes = [
            models.Index(fields=["period", "bucket"], name="monitor_rollups_bucket"),
            models.Index(
                fields=["period", "bucket"],
                condition=Q(seconds_up=None),
                name="monitor_rollups_unfilled",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["monitor", "period", "bucket"], name="monitor_rollups_once"
            ),
            models.CheckConstraint(
                condition=Q(period__in=RollupPeriod.values), name="monitor_rollups_period"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.monitor_id} {self.period} {self.bucket:%Y-%m-%d %H:%M}"
