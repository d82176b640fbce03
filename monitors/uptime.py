"""Uptime, reckoned from state intervals: time we could not see, and time that was announced, are
neither up nor down.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.utils import timezone

from monitors.maintenance import Span, spans_of, windows_of
from monitors.models import Monitor, MonitorStateInterval, MonitorStatus


@dataclass(frozen=True)
class Uptime:
    """Seconds in each state. They add up to the time asked for, as far as it has passed."""

    up_seconds: float = 0.0
    down_seconds: float = 0.0
    unknown_seconds: float = 0.0  # not judged, not looked, or not there yet
    paused_seconds: float = 0.0
    maintenance_seconds: float = 0.0  # whatever the state was

    @property
    def ratio(self) -> float | None:
        """Of the time that counts, the share it was up. `None` when no time counts."""
        counted = self.up_seconds + self.down_seconds
        return self.up_seconds / counted if counted else None


def uptime(monitor: Monitor, since: datetime, until: datetime) -> Uptime:
    """How `monitor` was between the two. Windows count as they are configured now."""
    until = min(until, timezone.now())
    rows = MonitorStateInterval.objects.filter(
        Q(ended_at=None) | Q(ended_at__gt=since), monitor=monitor, started_at__lt=until
    )
    states = [(i.state, i.started_at, i.ended_at or until) for i in rows]
    return reckon(states, spans_of(windows_of(monitor), since, until), since, until)


def reckon(
    states: Iterable[tuple[str, datetime, datetime]],
    maintenance: Sequence[Span],
    since: datetime,
    until: datetime,
) -> Uptime:
    """Pure: `maintenance` in order and without overlaps. What no state covers is unknown."""
    total = max((until - since).total_seconds(), 0.0)
    announced = sum(overlap(span, since, until) for span in maintenance)
    seconds = dict.fromkeys(MonitorStatus.values, 0.0)
    for state, started_at, ended_at in states:
        start, end = max(started_at, since), min(ended_at, until)
        if start < end:
            hidden = sum(overlap(span, start, end) for span in maintenance)
            seconds[state] += (end - start).total_seconds() - hidden
    seen = seconds["up"] + seconds["down"] + seconds["paused"]
    return Uptime(
        up_seconds=seconds["up"],
        down_seconds=seconds["down"],
        unknown_seconds=max(total - announced - seen, 0.0),
        paused_seconds=seconds["paused"],
        maintenance_seconds=announced,
    )


def overlap(span: Span, since: datetime, until: datetime) -> float:
    """Seconds of `span` between the two."""
    return max((min(span[1], until) - max(span[0], since)).total_seconds(), 0.0)
