"""Judge every registered component at once, all together in under a second."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings
from django.db import connection, connections, transaction
from django.utils import timezone

from hostmaster.core.health.models import Status
from hostmaster.core.logs import exception_text
from hostmaster.core.registry import get_registry, resolve

logger = logging.getLogger(__name__)

SEVERITY = {
    Status.NOT_CONFIGURED: 0,
    Status.HEALTHY: 0,
    Status.UNKNOWN: 1,
    Status.DEGRADED: 2,
    Status.CRITICAL: 3,
}


@dataclass(frozen=True)
class Verdict:
    """How one component fares now. `message` is a sentence a person reads, `detail` the figures."""

    status: Status
    message: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """The verdict on `component` and how long it took to reach."""

    component: str
    verdict: Verdict
    ms: int

    def as_json(self) -> dict[str, Any]:
        return {
            "status": self.verdict.status.value,
            "message": self.verdict.message,
            "ms": self.ms,
            "detail": dict(self.verdict.detail),
        }


def run_all_health_checks(db: object = None) -> dict[str, Any]:
    """`{"status", "checked_at", "components": {name: {status, message, ms, detail}}}`.

    `db` is accepted for callers that hand over a session, and ignored.
    """
    return report(run_checks())


def report(results: Iterable[Result]) -> dict[str, Any]:
    """The answer of `run_all_health_checks` for these results."""
    results = list(results)
    return {
        "status": overall([result.verdict.status for result in results]).value,
        "checked_at": timezone.now().isoformat(),
        "components": {result.component: result.as_json() for result in results},
    }


def overall(statuses: Iterable[str]) -> Status:
    """The worst of all; `not_configured` lowers nothing, and `unknown` is not healthy."""
    known = [Status(status) for status in statuses if status != Status.NOT_CONFIGURED]
    return max(known, key=SEVERITY.__getitem__, default=Status.HEALTHY)


def by_thresholds(value: float, *, degraded: float, critical: float) -> Status:
    """Where `value` stands: healthy up to and including `degraded`, critical above `critical`."""
    if value > critical:
        return Status.CRITICAL
    return Status.DEGRADED if value > degraded else Status.HEALTHY


def run_checks(components: Iterable[str] | None = None) -> list[Result]:
    """Check these components (by default all registered ones), in the order of their names.

    Each runs in a thread and on a connection of its own and is left behind when its time is up.
    Inside a transaction they run one after the other in the caller's thread instead, unbounded:
    another connection would wait for the locks the caller itself holds.
    """
    registered = get_registry().health_checks
    names = sorted(registered if components is None else components)
    if connection.in_atomic_block:
        return [_run_here(name, registered[name].check) for name in names]
    running = [_start(name, registered[name].check) for name in names]
    ends = time.monotonic() + settings.HEALTH_CHECK_SECONDS
    return [check.result(within=ends - time.monotonic()) for check in running]


def _run_here(name: str, path: str) -> Result:
    started = time.monotonic()
    try:
        with transaction.atomic():  # a failed query must not break the caller's transaction
            verdict: Verdict = resolve(path)()
    except Exception as error:  # noqa: BLE001 a check that fails is itself the finding
        verdict = _failed(name, error)
    return slow_is_degraded(Result(name, verdict, _ms_since(started)))


def slow_is_degraded(result: Result) -> Result:
    """A healthy verdict that took longer than its budget is not healthy."""
    is_in_time = result.ms <= settings.HEALTH_CHECK_SECONDS * 1000
    if result.verdict.status != Status.HEALTHY or is_in_time:
        return result
    message = f"Slow: checking took {result.ms} ms. {result.verdict.message}"
    return replace(result, verdict=replace(result.verdict, status=Status.DEGRADED, message=message))


class _Check:
    """One run of one check in a thread of its own."""

    def __init__(self, name: str, path: str) -> None:
        self._name = name
        self._path = path
        self._started = time.monotonic()
        self._result: Result | None = None
        # A daemon, so a check that hangs on a dead network holds up no exit.
        self._thread = threading.Thread(target=self._run, name=f"health-{name}", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def result(self, within: float) -> Result:
        self._thread.join(max(within, 0.0))
        if self._result is not None:
            return slow_is_degraded(self._result)
        ms = _ms_since(self._started)
        return Result(self._name, Verdict(Status.DEGRADED, f"No answer within {ms} ms."), ms)

    def _run(self) -> None:
        try:
            verdict: Verdict = resolve(self._path)()
        except Exception as error:  # noqa: BLE001 a check that fails is itself the finding
            verdict = _failed(self._name, error)
        self._result = Result(self._name, verdict, _ms_since(self._started))
        connections.close_all()


_hanging: dict[str, _Check] = {}
_hanging_lock = threading.Lock()


def _start(name: str, path: str) -> _Check:
    """Start the check, unless its last run still hangs: one lost thread a component, not one more
    each round."""
    with _hanging_lock:
        check = _hanging.get(name)
        if check is None or not check.is_running:
            check = _hanging[name] = _Check(name, path)
        return check


def _failed(name: str, error: Exception) -> Verdict:
    text = exception_text(error)
    logger.warning("health check %s failed: %s", name, text)
    return Verdict(Status.CRITICAL, f"The check failed: {text}")


def _ms_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
