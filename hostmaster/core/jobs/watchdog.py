"""The watchdog of a lane: due rows wait and nothing moves, so this process must go.

django-q2 can stop silently (a worker killed while it held the queue's read lock stops all
others); the rows are safe, but only a new process moves them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, Min

from hostmaster.core.jobs import drains, leases, sweep
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.jobs.models import Lease
from hostmaster.core.registry import get_registry


class Watchdog:
    """`is_stuck()` each tick; looks at the rows a few times per `WATCHDOG_SECONDS`."""

    def __init__(self, lane: Lane, clock: Callable[[], float] = time.monotonic) -> None:
        self._lane = lane
        self._clock = clock
        self._limit = float(settings.WATCHDOG_SECONDS)
        self._picture: Any = None
        self._moved_at = self._looked_at = clock()

    def is_stuck(self) -> bool:
        """Due work has waited, unmoved, for the whole limit."""
        now = self._clock()
        if now - self._looked_at < self._limit / 8:
            return False
        self._looked_at = now
        picture = self._look()
        if picture is None or picture != self._picture:
            self._picture, self._moved_at = picture, now
        return now - self._moved_at >= self._limit

    def moved(self) -> None:
        """The lane did something that the rows do not show."""
        self._moved_at = self._clock()

    def _look(self) -> Any:
        """What would change if anything moved; `None` while nothing waits or a job runs here."""
        jobs = [self._picture_of(queryset) for queryset in sweep.lane_jobs(self._lane)]
        waits = any(picture["due"] for picture in jobs)
        lane_drains = [d for d in get_registry().drains.values() if d.lane is self._lane]
        waits = waits or any(drains.has_due(drain) for drain in lane_drains)
        if not waits or any(picture["mine"] for picture in jobs):
            return None
        turns = Lease.objects.filter(name__startswith="drain:").aggregate(Max("until"))
        return jobs, turns

    @staticmethod
    def _picture_of(jobs: Any) -> dict[str, Any]:
        due = jobs.due().aggregate(due=Count("pk"), oldest=Min("run_at"), last=Max("updated_at"))
        mine = jobs.running().filter(lease_owner__startswith=f"{leases.lane_instance()}/")
        return {**due, "mine": mine.exists()}
