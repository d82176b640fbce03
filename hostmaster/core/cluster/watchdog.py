"""The watchdog of a lane: work waits and nothing moves, so this process must go.

django-q2 can stop silently (a worker killed in the middle of reading its queue stops all
others); the rows are safe, but only a new process moves them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from django.conf import settings
from django.db.models import Max

from hostmaster.core.jobs import doorbells, drains, leases, sweep
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.jobs.models import Lease
from hostmaster.core.registry import get_registry


class Watchdog:
    """`is_stuck()` each tick; looks at the rows a few times per `WATCHDOG_SECONDS`."""

    def __init__(
        self,
        lane: Lane,
        clock: Callable[[], float] = time.monotonic,
        progress: Callable[[], int] = lambda: 0,
    ) -> None:
        """`progress` changes whenever a worker begins a task."""
        self._lane = lane
        self._clock = clock
        self._progress = progress
        self._limit = float(settings.WATCHDOG_SECONDS)
        self._picture: Any = None
        self._moved_at = self._looked_at = clock()

    def is_stuck(self) -> bool:
        """Work has waited, unmoved, for the whole limit."""
        now = self._clock()
        if now - self._looked_at < self._limit / 8:
            return False
        self._looked_at = now
        picture = self._look()
        if picture is None or picture != self._picture:
            self._picture, self._moved_at = picture, now
        return now - self._moved_at >= self._limit

    def excuse(self) -> None:
        """Nothing could be seen, so nothing can be blamed: the database was away."""
        self._moved_at = self._looked_at = self._clock()

    def _look(self) -> Any:
        """What would change if workers worked; `None` while nothing waits or all hands are full.

        New rows and messages, and those that the pusher takes out of the broker, are no work done.
        """
        due = sweep.due_rows(self._lane)
        depth = doorbells.lane_depth(self._lane)
        lane_drains = get_registry().lane_drains(self._lane)
        waits = due or depth or any(drains.has_due(drain) for drain in lane_drains)
        if not waits or self._running() >= settings.LANE_SIZES[self._lane].workers:
            return None
        slots = [slot for drain in lane_drains for slot in drains.slots(drain)]
        turns = Lease.objects.filter(name__in=slots).aggregate(until=Max("until"))
        oldest = min(due, key=attrgetter("run_at"), default=None)
        return oldest, turns["until"], self._progress()

    def _running(self) -> int:
        kinds = get_registry().lane_kinds(self._lane)
        mine = leases.lane_instance()
        return sum(sweep.jobs_of(kind).held_by_lane(mine).count() for kind in kinds)
