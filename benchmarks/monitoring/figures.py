"""What was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """Checks done in so many seconds, and their CPU seconds."""

    checks: int
    cpu: float
    seconds: float
    database_cpu: float = 0.0

    @property
    def cpu_per_1000(self) -> float:
        return 1000 * self.cpu / max(self.checks, 1)

    @property
    def database_cpu_per_1000(self) -> float:
        return 1000 * self.database_cpu / max(self.checks, 1)

    @property
    def per_second(self) -> float:
        return self.checks / self.seconds


def percentile(buckets: Mapping[str, float], percent: float) -> float:
    """Of a histogram's own counts by upper bound, linear inside a bucket as Prometheus does."""
    bounds = sorted(buckets, key=float)
    rank = sum(buckets.values()) * percent / 100
    below, lower = 0.0, 0.0
    for bound in bounds:
        count = buckets[bound]
        if count and below + count >= rank:
            upper = float(bound)
            return lower + (min(upper, 3600.0) - lower) * (rank - below) / count
        below += count
        lower = float(bound)
    return lower
