"""What /health says, derived from rows."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError
from django.utils import timezone

from hostmaster.core.health.checks import overall, run_checks
from hostmaster.core.health.models import ComponentState, Status
from hostmaster.core.health.probe import database_probe
from hostmaster.core.jobs.models import ScheduleState
from hostmaster.core.logs import exception_text
from hostmaster.core.registry import get_registry

logger = logging.getLogger(__name__)

JOBS = ("health_check", "ssl_check", "alert_evaluator", "notification")
RUNNING, LATE, STOPPED = "running", "late", "stopped"
LATE_AFTER, STOPPED_AFTER = timedelta(minutes=1), timedelta(minutes=10)
MONITOR_FRESH = timedelta(seconds=75)  # two and a half rounds of the monitor
LIVE_FRESH_SECONDS = 5.0

_PUBLIC_STATUS = {
    Status.HEALTHY: "ok",
    Status.UNKNOWN: "degraded",
    Status.DEGRADED: "degraded",
    Status.CRITICAL: "critical",
}


@dataclass(frozen=True)
class Summary:
    status: str  # ok | degraded | critical
    database: str  # connected | disconnected
    jobs: Mapping[str, str]
    components: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_down(self) -> bool:
        return self.status == "critical" or self.database == "disconnected"

    def as_json(self) -> dict[str, Any]:
        """Exactly the customer's three keys: no tenant's data, nothing about the inside."""
        return {"status": self.status, "database": self.database, "jobs": dict(self.jobs)}


_DISCONNECTED = Summary("critical", "disconnected", dict.fromkeys(JOBS, STOPPED))


def summarise() -> Summary:
    """Critical: the database does not answer, or a component is critical. Degraded: a component
    is degraded or never reported, or one of the four jobs, of an app that is installed, is late
    or stopped. Else ok.

    Components are as the monitor judged them, confirmed; when it has not judged them lately they
    are checked now. Without a database nothing runs, so every job is stopped.
    """
    if not database_probe.is_reachable():
        return _DISCONNECTED
    try:
        jobs = job_states(timezone.now())
        components = _judged_lately(timezone.now()) or live_verdicts.components()
    except DatabaseError as error:
        logger.warning("health cannot be read: %s", exception_text(error))
        return _DISCONNECTED
    statuses = [Status(component["status"]) for component in components.values()]
    if any(jobs[name] != RUNNING for name in JOBS if name in get_registry().schedules):
        statuses.append(Status.DEGRADED)
    return Summary(_PUBLIC_STATUS[overall(statuses)], "connected", jobs, components)


def job_states(now: datetime) -> dict[str, str]:
    """The customer's four jobs: `running`, `late` by a minute, or `stopped`: late by ten, never
    scheduled, or of an app that is not installed. One whose first time is still to come runs."""
    states = ScheduleState.objects.in_bulk(JOBS)
    return {name: _job_state(states.get(name), now) for name in JOBS}


def _job_state(state: ScheduleState | None, now: datetime) -> str:
    if state is None or state.is_late(now, STOPPED_AFTER):
        return STOPPED
    if state.last_started_at is None and state.next_run_at is None:
        return STOPPED
    return LATE if state.is_late(now, LATE_AFTER) else RUNNING


def _judged_lately(now: datetime) -> dict[str, Any]:
    """The monitor's verdicts by component; empty unless all registered ones are fresh."""
    registered = get_registry().health_checks
    states = ComponentState.objects.filter(
        component__in=registered, checked_at__gte=now - MONITOR_FRESH
    )
    judged = {state.component: _as_json(state) for state in states}
    return judged if judged.keys() == registered.keys() else {}


def _as_json(state: ComponentState) -> dict[str, Any]:
    return {
        "status": state.status,
        "message": state.message,
        "since": state.since.isoformat(),
        "detail": state.detail,
    }


class LiveVerdicts:
    """Checks made now, kept for 5 s: /health is public and must not let strangers make us work."""

    def __init__(self) -> None:
        self._components: dict[str, Any] = {}
        self._read_at = float("-inf")
        self._checking = threading.Lock()

    def components(self) -> dict[str, Any]:
        with self._checking:  # who comes meanwhile waits for the checks under way, at most a second
            if time.monotonic() - self._read_at > LIVE_FRESH_SECONDS:
                self._components = {r.component: r.as_json() for r in run_checks()}
                self._read_at = time.monotonic()
            return self._components

    def forget(self) -> None:
        self._read_at = float("-inf")


live_verdicts = LiveVerdicts()
