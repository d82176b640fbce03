"""The health monitor: follows each component from round to round and writes down its changes."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil
from django.conf import settings
from django.db import DatabaseError, connections, transaction
from django.utils import timezone

from hostmaster.core.health.checks import SEVERITY, Result, run_checks
from hostmaster.core.health.models import ComponentState, Status, SystemLog
from hostmaster.core.health.services import record
from hostmaster.core.jobs import doorbells, leases
from hostmaster.core.jobs.schedules import JobReport
from hostmaster.core.logs import exception_text, masked_value
from hostmaster.core.registry import get_registry

logger = logging.getLogger(__name__)

COMPONENT = "health_monitor"
SCHEDULE = "component_health"
LEASE = f"schedule:{SCHEDULE}"  # the schedule's own: whoever holds it is the one monitor

BAD = frozenset({Status.DEGRADED, Status.CRITICAL})
ROUNDS_TO_CRITICAL = 2
ROUNDS_TO_RECOVER = 2


@dataclass(frozen=True)
class Judgement:
    """A component's status and how many rounds in a row it was bad or good."""

    status: Status
    bad_rounds: int = 0
    good_rounds: int = 0


def judge(before: Judgement, sample: Status) -> Judgement:
    """The next judgement, from a confirmed sample.

    One bad round degrades, the second or a critical sample makes critical, two good ones recover.
    What is bad never gets better by being less bad, so nothing flaps around a threshold.
    """
    if sample in (Status.UNKNOWN, Status.NOT_CONFIGURED):
        return Judgement(sample)
    if sample == Status.HEALTHY:
        good_rounds = before.good_rounds + 1
        recovered = before.status not in BAD or good_rounds >= ROUNDS_TO_RECOVER
        return Judgement(sample if recovered else before.status, 0, good_rounds)
    bad_rounds = before.bad_rounds + 1
    is_critical = Status.CRITICAL in (sample, before.status) or bad_rounds >= ROUNDS_TO_CRITICAL
    return Judgement(Status.CRITICAL if is_critical else Status.DEGRADED, bad_rounds)


class HealthMonitor:
    """Checks all components each `interval_seconds`, one monitor at a time over all hosts."""

    def __init__(self, interval_seconds: float = 30.0) -> None:
        self._interval_seconds = interval_seconds
        self._stopped = threading.Event()

    def monitor_loop(self) -> None:
        """Run rounds until `stop()`. One the database cannot take is logged, the next tried."""
        while not self._stopped.is_set():
            try:
                with leases.hold(LEASE) as held:
                    if held:
                        self.check_once()
            except DatabaseError as error:
                logger.error("health round failed: %s", exception_text(error))
            finally:
                connections.close_all()
            self._stopped.wait(self._interval_seconds)

    def stop(self) -> None:
        """Let `monitor_loop` return after the round in hand. Safe in a signal handler."""
        self._stopped.set()

    def check_once(self) -> list[ComponentState]:
        """One round: check, confirm what is bad, store each judgement and log each change."""
        results = _confirmed(run_checks())
        ComponentState.objects.exclude(component__in=get_registry().health_checks).delete()
        return [self._follow(result, results) for result in results]

    def _follow(self, result: Result, round_: Sequence[Result]) -> ComponentState:
        state, _ = ComponentState.objects.get_or_create(component=result.component)
        before = Judgement(Status(state.status), state.bad_rounds, state.good_rounds)
        after = judge(before, result.verdict.status)
        changed = after.status != before.status
        worse = changed and SEVERITY[after.status] > SEVERITY[before.status]
        context = diagnostic_context(round_) if worse else {}
        now = timezone.now()
        with transaction.atomic():
            won = state.update_guarded(
                status=after.status,
                since=now if changed else state.since,
                bad_rounds=after.bad_rounds,
                good_rounds=after.good_rounds,
                message=result.verdict.message,
                detail=masked_value(result.verdict.detail),
                checked_at=now,
            )
            if won and worse:
                self._handle_degradation(state, before.status, context)
            elif won and changed:
                self._handle_improvement(state, before.status)
        return state

    def _handle_degradation(
        self, state: ComponentState, before: str, context: Mapping[str, Any]
    ) -> None:
        """Write down that a component got worse, with what was known then; ring the alert rules."""
        is_critical = state.status == Status.CRITICAL
        level = SystemLog.Level.CRITICAL if is_critical else SystemLog.Level.WARNING
        self._record_change(state, before, level, diagnostics=context)

    def _handle_improvement(self, state: ComponentState, before: str) -> None:
        self._record_change(state, before, SystemLog.Level.INFO)

    def _record_change(
        self, state: ComponentState, before: str, level: SystemLog.Level, **context: object
    ) -> None:
        message = f"{state.component}: {before} → {state.status}. {state.message}".strip()
        record(
            COMPONENT,
            level,
            message,
            fact="component_health",
            component_name=state.component,
            from_status=before,
            to_status=state.status,
            detail=state.detail,
            **context,
        )
        logger.log(logging.getLevelNamesMapping()[level.value.upper()], message)
        doorbells.ring(doorbells.ALERTS_EVALUATE)


def run_component_health() -> JobReport:
    """What the schedule runs, under the lease of that schedule."""
    states = HealthMonitor().check_once()
    bad = sum(state.status in BAD for state in states)
    return JobReport(processed=len(states), succeeded=len(states) - bad, failed=bad)


def diagnostic_context(round_: Sequence[Result]) -> dict[str, Any]:
    """How the machine and every component fared in this round. It asks no database: that may be
    what is failing."""
    memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(settings.BASE_DIR))
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "load_average": [round(load, 2) for load in psutil.getloadavg()],
        "memory_available_bytes": memory.available,
        "memory_used_percent": memory.percent,
        "disk_free_bytes": disk.free,
        "disk_used_percent": disk.percent,
        "process_rss_bytes": psutil.Process().memory_info().rss,
        "components": {result.component: result.as_json() for result in round_},
    }


def _confirmed(results: Sequence[Result]) -> list[Result]:
    """Bad samples are taken a second time at once; the better of the two counts."""
    suspects = [result.component for result in results if result.verdict.status in BAD]
    if not suspects:
        return list(results)
    second = {result.component: result for result in run_checks(suspects)}
    return [_better(result, second.get(result.component, result)) for result in results]


def _better(first: Result, second: Result) -> Result:
    return min(second, first, key=lambda result: SEVERITY[result.verdict.status])
