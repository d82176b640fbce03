"""How long answers took, from the histograms of the roll-ups."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from monitors import histograms
from monitors.models import Monitor, MonitorRollup, RollupPeriod

FIVE_MINUTES_KEPT = timedelta(days=14)
HOURS_KEPT = timedelta(days=400)


@dataclass(frozen=True)
class Percentiles:
    """Milliseconds, off by at most 4 %; `None` where nothing was timed."""

    timed: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


def latency_percentiles(monitor: Monitor, since: datetime, until: datetime) -> Percentiles:
    """Over the buckets that begin in the time asked for: of 5 minutes, of an hour when it begins
    more than 14 days ago, of a day beyond 400."""
    texts = MonitorRollup.objects.filter(
        monitor=monitor, period=period_for(since), bucket__gte=since, bucket__lt=until
    ).values_list("histogram", flat=True)
    counts = histograms.parse(" ".join(texts.order_by()))
    p50, p95, p99 = (histograms.percentile(counts, percent) for percent in (50, 95, 99))
    return Percentiles(counts.total(), p50, p95, p99)


def period_for(since: datetime) -> RollupPeriod:
    """The finest that is still kept for that time."""
    age = timezone.now() - since
    if age <= FIVE_MINUTES_KEPT:
        return RollupPeriod.FIVE_MINUTES
    return RollupPeriod.HOUR if age <= HOURS_KEPT else RollupPeriod.DAY
