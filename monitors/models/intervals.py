"""How a monitor was, from when to when: what uptime is reckoned from."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from monitors.models.monitors import MonitorStatus


class MonitorStateInterval(models.Model):
    """A state from `started_at` to `ended_at`; empty: it still is so. They meet end to start."""

    monitor = models.ForeignKey(
        "monitors.Monitor", models.CASCADE, related_name="intervals", db_index=False
    )
    state = models.CharField(max_length=10, choices=MonitorStatus.choices)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, default="")

    class Meta:
        db_table = "monitor_state_intervals"
        ordering = ["monitor", "started_at"]
        indexes = [models.Index(fields=["monitor", "started_at"], name="monitor_intervals_monitor")]
        constraints = [
            models.UniqueConstraint(
                fields=["monitor"],
                condition=Q(ended_at__isnull=True),
                name="monitor_intervals_one_open",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("started_at")),
                name="monitor_intervals_forward",
            ),
            models.CheckConstraint(
                condition=Q(state__in=MonitorStatus.values), name="monitor_intervals_state"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.monitor_id} {self.state} since {self.started_at:%Y-%m-%d %H:%M:%S}"
