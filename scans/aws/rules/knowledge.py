"""What is known well enough to judge by; anything less is `Unknown`, never "fine"."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from scans.aws.prices import PriceMissingError
from scans.aws.rules.finding import (
    METRICS,
    Context,
    Figures,
    Finding,
    Item,
    Judge,
    Unknown,
    Verdict,
)

# How a person calls a metric.
WORDS = {
    "cpu_percent": "CPU",
    "network_bytes": "network traffic",
    "disk_ops": "disk operations",
    "memory_percent": "memory",
    "volume_ops": "volume operations",
    "connections": "connections",
    "freeable_memory_bytes": "free memory",
    "rds_iops": "storage operations",
    "bytes_processed": "bytes processed",
    "request_count": "requests",
    "new_flows": "new connections",
    "healthy_hosts": "healthy targets",
    "bucket_size_bytes": "bucket size",
}


class NotKnownError(Exception):
    """Too little is known to judge this."""

    def __init__(self, reason: str, needs: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.needs = needs


def tells_unknown(rule: str) -> Callable[[Callable[[Any, Context], Finding | None]], Judge]:
    """Makes of a rule that raises `NotKnownError` or `PriceMissingError` one that answers
    `Unknown`."""

    def decorate(judge: Callable[[Any, Context], Finding | None]) -> Judge:
        @functools.wraps(judge)
        def judging(item: Item, context: Context) -> Verdict:
            try:
                return judge(item, context)
            except NotKnownError as error:
                reason, needs = error.reason, error.needs
            except PriceMissingError as error:
                reason, needs = "No list price is known.", str(error)
            return Unknown(rule, item.region, item.resource_id, reason, needs)

        return judging

    return decorate


def figures_of(context: Context, metric: str, *, days: float, min_coverage: float = 0.8) -> Figures:
    """The metric, known for the last `days` or longer and without too many gaps. Raises
    `NotKnownError`."""
    word = WORDS.get(metric, metric)
    needs = f"{min_coverage:.0%} of the datapoints of {days:g} days of {word}"
    figures = context.metrics.get(metric)
    if figures is None or not figures.datapoints:
        reason = context.unseen.get(METRICS) or f"CloudWatch has no datapoints of {word}."
        raise NotKnownError(reason, needs)
    seen = f"; there are {datapoints(figures)} over {figures.days_seen} days"
    if figures.days_seen < days:
        raise NotKnownError(f"Less than {days:g} days of {word} are known.", needs + seen)
    if figures.datapoints < min_coverage * figures.expected_in_days_seen:
        reason = f"Less than {min_coverage:.0%} of the datapoints of {word} are known."
        raise NotKnownError(reason, needs + seen)
    return figures


def figures_or_none(
    context: Context, metric: str, *, days: float, min_coverage: float = 0.8
) -> Figures | None:
    """The metric if it is known well enough."""
    try:
        return figures_of(context, metric, days=days, min_coverage=min_coverage)
    except NotKnownError:
        return None


def known(value: float | None, metric: str) -> float:
    """A figure that a summary with datapoints always has. Raises `NotKnownError`."""
    if value is None or not math.isfinite(value):
        raise NotKnownError(f"The summary of {WORDS.get(metric, metric)} is incomplete.")
    return value


def related(context: Context, name: str) -> Sequence[Any]:
    """Things that belong to the item. Raises `NotKnownError` when they could not be seen."""
    if name not in context.related:
        raise NotKnownError(context.unseen.get(name) or f"The region's {name} could not be seen.")
    return context.related[name]


def datapoints(figures: Figures) -> str:
    """Seen of those expected since the first was seen, as evidence."""
    return f"{figures.datapoints} of {max(figures.expected_in_days_seen, figures.datapoints)}"


def instant_of(spec: Any, name: str) -> datetime | None:
    """An instant of a spec, `None` when it is missing or no instant."""
    text = spec.get(name)
    try:
        instant = parse_datetime(text) if isinstance(text, str) else None
    except ValueError:  # well formed and impossible, such as February 30
        return None
    if instant is None:
        return None
    return instant if timezone.is_aware(instant) else instant.replace(tzinfo=UTC)


def age_of(since: datetime, now: datetime) -> timedelta:
    return max(now - since, timedelta())
