"""Counters as rows, so that they survive restarts and need no shared memory of processes."""

from __future__ import annotations

from django.db import models


class Counter(models.Model):
    """One time series that only rises. A histogram is several: a row a bucket, and the sum."""

    name = models.CharField(max_length=150)
    labels = models.TextField(default="{}", help_text="JSON with sorted keys, no spaces.")
    value = models.FloatField(default=0.0)

    class Meta:
        db_table = "metric_counters"
        ordering = ["name", "labels"]
        constraints = [
            models.UniqueConstraint(fields=["name", "labels"], name="metric_counters_series"),
            models.CheckConstraint(
                condition=models.Q(value__gte=0), name="metric_counters_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}{self.labels}"
