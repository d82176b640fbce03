"""Add to counters and histograms, inside the transaction that makes the counted thing true."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.db import connection

from hostmaster.core.registry import Metric, get_registry

# From a drained check to the longest job, an AWS scan's deadline of 30 min.
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
BUCKET_NAMES = (*(f"{bound:g}" for bound in BUCKETS), "+Inf")

_UPSERT = (
    "INSERT INTO metric_counters (name, labels, value) VALUES {rows} "
    "ON CONFLICT (name, labels) DO UPDATE SET value = metric_counters.value + excluded.value"
)


class UnknownMetricError(Exception):
    """No app declares a counter or histogram of this name with these labels."""


@dataclass(frozen=True)
class Increment:
    """`amount` more on the series `name{labels}`."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    amount: float = 1.0


def add(*increments: Increment) -> None:
    """Add all increments in one statement, which belongs into the transaction that settles.

    Call it once a transaction, last: its rows are sorted because two statements that lock the
    same counters in different orders deadlock, and a hot row is locked until the commit. Raises
    `UnknownMetricError` for what no `registry.py` declares; `ValueError` for a negative amount.
    """
    amounts: dict[tuple[str, str], float] = {}
    for increment in increments:
        _check(increment)
        # PostgreSQL refuses to touch a row twice in one upsert, so equal series are summed here.
        series = (increment.name, canonical(increment.labels))
        amounts[series] = amounts.get(series, 0.0) + increment.amount
    if not amounts:
        return
    values = [value for series in sorted(amounts) for value in (*series, amounts[series])]
    with connection.cursor() as cursor:
        cursor.execute(_UPSERT.format(rows=", ".join(["(%s, %s, %s)"] * len(amounts))), values)


def observe(name: str, seconds: float, **labels: str) -> tuple[Increment, ...]:
    """The increments of one observation of the histogram `name`, to be given to `add`.

    Two rows, not one for each bucket above: a row counts its own bucket only; /metrics
    accumulates them, and the count is their total.
    """
    bucket = BUCKET_NAMES[bisect_left(BUCKETS, seconds)]
    return (
        Increment(f"{name}_bucket", {**labels, "le": bucket}),
        Increment(f"{name}_sum", labels, max(seconds, 0.0)),
    )


def observe_many(name: str, seconds: Sequence[float], **labels: str) -> list[Increment]:
    """As `observe`, for a batch: one increment a bucket that was met, and the sum."""
    counts = Counter(BUCKET_NAMES[bisect_left(BUCKETS, value)] for value in seconds)
    increments = [
        Increment(f"{name}_bucket", {**labels, "le": bucket}, count)
        for bucket, count in counts.items()
    ]
    total = sum(max(value, 0.0) for value in seconds)
    return [*increments, Increment(f"{name}_sum", labels, total)] if increments else []


def canonical(labels: Mapping[str, str]) -> str:
    """The one text that stands for these labels."""
    return json.dumps(dict(labels), sort_keys=True, separators=(",", ":"))


def _check(increment: Increment) -> None:
    if increment.amount < 0:
        raise ValueError(f"{increment.name}: a counter never falls ({increment.amount}).")
    if frozenset(increment.labels) != _declared_labels(increment.name):
        raise UnknownMetricError(
            f"No registry.py declares {increment.name} with {sorted(increment.labels)}."
        )


def _declared_labels(name: str) -> frozenset[str] | None:
    metrics = get_registry().metrics
    if (metric := metrics.get(name)) and metric.type == "counter":
        return frozenset(metric.labels)
    for suffix, extra in (("_bucket", ("le",)), ("_sum", ())):
        histogram: Metric | None = metrics.get(name.removesuffix(suffix))
        if name.endswith(suffix) and histogram and histogram.type == "histogram":
            return frozenset((*histogram.labels, *extra))
    return None
