"""How a check moves a monitor's state. Pure: a standing and an outcome in, a verdict out.

unknown ─ a success → up                           unknown, up ─ 1 + `retries` failures → down
down ─ `successes_before_up` successes → up        unknown, up ─ our own outage → unknown
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import NamedTuple

from monitors.models import MonitorStatus

UP, DOWN, UNKNOWN = MonitorStatus.UP.value, MonitorStatus.DOWN.value, MonitorStatus.UNKNOWN.value


class Outcome(Enum):
    SUCCESS = "success"
    FAILURE = "failure"
    UNSEEN = "unknown"  # our own network was down: it says nothing about the monitor


class Standing(NamedTuple):
    """What is known before the check. `pending_since`: the first check that spoke against `state`
    and waits for confirmation."""

    state: str
    failures: int = 0
    successes: int = 0
    pending_since: datetime | None = None


class Verdict(NamedTuple):
    """What is known after it. `changed_at`: since when the state is another one. `is_pending`: a
    fast re-check has to confirm."""

    state: str
    failures: int
    successes: int
    pending_since: datetime | None
    changed_at: datetime | None

    @property
    def is_pending(self) -> bool:
        return self.pending_since is not None


def judge(
    standing: Standing,
    outcome: Outcome,
    at: datetime,
    *,
    retries: int,
    successes_before_up: int,
) -> Verdict:
    """The verdict of a check made at `at`.

    A confirmed state counts from the first check that showed it, not from the confirmation.
    """
    if outcome is Outcome.SUCCESS:
        needed = successes_before_up if standing.state == DOWN else 1
        return _towards(UP, standing, at, standing.successes + 1, needed)
    if outcome is Outcome.FAILURE:
        return _towards(DOWN, standing, at, standing.failures + 1, retries + 1)
    if standing.state == DOWN:  # nothing new about it: it stays as it is
        return Verdict(*standing, changed_at=None)
    changed_at = None if standing.state == UNKNOWN else standing.pending_since or at
    return Verdict(UNKNOWN, 0, 0, None, changed_at)


def _towards(goal: str, standing: Standing, at: datetime, streak: int, needed: int) -> Verdict:
    failures, successes = (0, streak) if goal == UP else (streak, 0)
    if standing.state == goal:
        return Verdict(goal, failures, successes, None, None)
    since = (standing.pending_since if streak > 1 else None) or at
    if streak < needed:
        return Verdict(standing.state, failures, successes, since, None)
    return Verdict(goal, failures, successes, None, since)
