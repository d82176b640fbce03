"""Drains: high-volume work taken in batches by tasks that loop for a bounded time.

On PostgreSQL each drain has `concurrency` slots of its own. On SQLite, which bears one or two
writers that loop, all drains share one lease and take turns of at most a second, the most urgent
first.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import connection

from hostmaster.core.clock import DatabaseNow
from hostmaster.core.jobs import doorbells, leases, stopping
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.jobs.models import Lease
from hostmaster.core.registry import Drain, get_registry, resolve

TASK_SECONDS = 20.0
TURN_SECONDS = 1.0  # the longest a drain keeps the others waiting on SQLite
WAIT_SECONDS = 0.05
BUSY_LANE = 20  # messages waiting; a drain needs no more of them


class Turn:
    """How long a drain may go on. `is_over()` between two batches."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def is_over(self) -> bool:
        return stopping.is_stopping() or time.monotonic() >= self._ends


def run_drain(name: str) -> int:
    """What a drain's doorbell calls: work off what is due, at most 20 s. Answers how much."""
    drain = get_registry().drains.get(name)
    if drain is None:
        return 0
    with _free_slot(drain) as held:
        if not held:
            return 0
        if _can_skip_locked():
            return int(resolve(drain.run)(Turn(TASK_SECONDS)) or 0)
        return _drain_in_turns(drain)


def ring_due(lane: Lane) -> None:
    """Ring each drain of the lane that has work and a free slot."""
    for drain in get_registry().lane_drains(lane):
        if has_due(drain) and may_start(drain):
            doorbells.send(lane, doorbells.RUN_DRAIN, drain.name)


def may_start(drain: Drain) -> bool:
    """A slot is free, and the lane is not full of messages already."""
    return _has_free_slot(drain) and doorbells.lane_depth(drain.lane) < BUSY_LANE


def has_due(drain: Drain) -> bool:
    return bool(resolve(drain.has_due)())


def _can_skip_locked() -> bool:
    return bool(connection.features.has_select_for_update_skip_locked)


def _drain_in_turns(drain: Drain) -> int:
    """SQLite: a turn of a second, then whoever is more urgent, but no longer than a turn."""
    whole, patience, done = Turn(TASK_SECONDS), Turn(TURN_SECONDS), 0
    while not whole.is_over() and has_due(drain):
        if _somebody_more_urgent(drain) and not patience.is_over():
            time.sleep(WAIT_SECONDS)
            continue
        with leases.hold("drains", timedelta(seconds=5 * TURN_SECONDS)) as held:
            if held:
                done += int(resolve(drain.run)(Turn(TURN_SECONDS)) or 0)
                patience = Turn(TURN_SECONDS)
        time.sleep(WAIT_SECONDS / 2)  # a gap in which another may take its turn
    return done


def _somebody_more_urgent(drain: Drain) -> bool:
    others = get_registry().drains.values()
    return any(other.priority < drain.priority and has_due(other) for other in others)


def slots(drain: Drain) -> list[str]:
    """The names of its leases: so many of its tasks may run at once."""
    count = max(drain.concurrency(), 1) if _can_skip_locked() else 1
    return [f"drain:{drain.name}:{number}" for number in range(count)]


def _has_free_slot(drain: Drain) -> bool:
    names = slots(drain)
    return Lease.objects.filter(name__in=names, until__gt=DatabaseNow()).count() < len(names)


@contextmanager
def _free_slot(drain: Drain) -> Iterator[bool]:
    for slot in slots(drain):
        with leases.hold(slot) as held:
            if held:
                yield True
                return
    yield False
