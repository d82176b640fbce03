"""What CloudWatch says about a thing, summed up over the days before a scan."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q
from django.utils import timezone

from scans.models.owned import AccountOwned, OwnedQuerySet

# A scan that got no figures may use those of the last days, but not for ever.
RECENT = timedelta(days=3)


class MetricSummaryQuerySet(OwnedQuerySet):
    """Questions about many summaries."""

    def recent(self, now: datetime) -> MetricSummaryQuerySet:
        """What still says how things are: a region that is denied keeps its last figures."""
        return self.filter(computed_at__gt=now - RECENT)


class MetricSummary(AccountOwned):
    """One metric of one thing, from hourly values (daily ones of S3, which reports no others).

    An hour without a value is no zero: `datapoints` of `expected` hours are known, and of none
    known all figures are null. Figures of the hours are `average` to `maximum`; `maximum` is the
    highest value within an hour where AWS tells it. `total` is the window's sum, null for what
    cannot be added up (CPU, memory, bytes stored).
    """

    region = models.CharField(max_length=40)
    kind = models.CharField(max_length=40)
    resource_id = models.CharField(max_length=255)
    metric = models.CharField(max_length=40, help_text="Our name, such as cpu_percent.")
    window_days = models.PositiveSmallIntegerField(help_text="The window ends at computed_at.")
    datapoints = models.PositiveIntegerField(default=0)
    expected = models.PositiveIntegerField()
    average = models.FloatField(null=True, blank=True)
    p50 = models.FloatField(null=True, blank=True)
    p95 = models.FloatField(null=True, blank=True)
    p99 = models.FloatField(null=True, blank=True)
    maximum = models.FloatField(null=True, blank=True)
    total = models.FloatField(null=True, blank=True)
    hour_of_week = models.JSONField(
        null=True,
        blank=True,
        help_text="What each of 168 hours, Monday 00:00 UTC first, stayed at or below in three "
        "weeks of four; null: unknown.",
    )
    daily = models.JSONField(
        null=True, blank=True, help_text="A total or average of each 24 h, newest last."
    )
    computed_at = models.DateTimeField(default=timezone.now)

    objects = MetricSummaryQuerySet.as_manager()

    class Meta:
        db_table = "metric_summaries"
        ordering = ["account", "region", "resource_id", "metric"]
        verbose_name_plural = "metric summaries"
        constraints = [
            models.UniqueConstraint(
                fields=["account", "region", "resource_id", "metric"],
                name="metric_summaries_unique",
            ),
            models.CheckConstraint(
                condition=Q(datapoints__lte=models.F("expected")),
                name="metric_summaries_datapoints",
            ),
        ]
        indexes = [
            models.Index(fields=["account", "kind", "metric"], name="metric_summaries_kind"),
            models.Index(fields=["computed_at"], name="metric_summaries_age"),
        ]

    def __str__(self) -> str:
        return f"{self.metric} of {self.resource_id}"
