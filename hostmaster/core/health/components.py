"""The kernel's own components: the database, the queue, the workers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from hostmaster.core.health import heartbeats
from hostmaster.core.health.checks import Verdict, by_thresholds, overall
from hostmaster.core.health.models import Heartbeat, Status, WriteProbe
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.metrics import gauges

LATENCY_DEGRADED_MS, LATENCY_CRITICAL_MS = 50.0, 250.0
SAMPLES = 20
SAMPLING_SECONDS = 0.4  # a slow database is judged by the samples it managed
OLDEST_DUE_DEGRADED, OLDEST_DUE_CRITICAL = timedelta(minutes=2), timedelta(minutes=10)
BEATS_DEGRADED, BEATS_CRITICAL = 2, 5  # intervals without a heartbeat


def check_database() -> Verdict:
    """It answers quickly (95th percentile of a small query) and takes a write."""
    latencies = _query_latencies_ms()
    written_ms = _write_ms()
    p50, p95 = percentile(latencies, 50), percentile(latencies, 95)
    status = by_thresholds(p95, degraded=LATENCY_DEGRADED_MS, critical=LATENCY_CRITICAL_MS)
    message = f"Answers within {p95:.1f} ms (95th percentile), writes in {written_ms:.0f} ms."
    detail = {
        "vendor": connection.vendor,
        "p50_ms": round(p50, 2),
        "p95_ms": round(p95, 2),
        "write_ms": round(written_ms, 2),
        "samples": len(latencies),
    }
    return Verdict(status, message, detail)


def check_queue() -> Verdict:
    """No due job waits long, in any lane."""
    now = timezone.now()
    oldest = gauges.oldest_due()
    waits = {lane: max((now - since).total_seconds(), 0.0) for lane, since in oldest.items()}
    longest = max(waits.values(), default=0.0)
    status = by_thresholds(
        longest,
        degraded=OLDEST_DUE_DEGRADED.total_seconds(),
        critical=OLDEST_DUE_CRITICAL.total_seconds(),
    )
    message = f"The oldest due job has waited {longest:.0f} s." if waits else "No job is waiting."
    lanes = {
        lane: {"open_jobs": jobs, "oldest_due_seconds": round(waits.get(lane, 0.0), 1)}
        for lane, jobs in sorted(_open_jobs().items())
    }
    return Verdict(status, message, {"lanes": lanes})


def check_workers() -> Verdict:
    """Each lane has a worker that beat its heart lately."""
    beats = Heartbeat.objects.filter(kind=Heartbeat.Kind.WORKER).order_by()
    latest = dict(beats.values_list("lane").annotate(latest=Max("beat_at")))
    if not latest:
        return Verdict(Status.UNKNOWN, "No worker has ever reported. Start manage.py qcluster.")
    now = timezone.now()
    silent = {lane.value: _silent_seconds(latest.get(lane.value), now) for lane in Lane}
    statuses = {lane: _worker_status(seconds) for lane, seconds in silent.items()}
    return Verdict(
        overall(statuses.values()),
        _workers_message(silent, statuses),
        {
            "lanes": {
                lane: {"status": s, "silent_seconds": silent[lane]} for lane, s in statuses.items()
            }
        },
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that `percent` % of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(rank, 1) - 1]


def _query_latencies_ms() -> list[float]:
    connection.ensure_connection()  # connecting is not what is measured
    latencies: list[float] = []
    ends = time.monotonic() + SAMPLING_SECONDS
    while len(latencies) < SAMPLES and (not latencies or time.monotonic() < ends):
        started = time.perf_counter()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
        latencies.append((time.perf_counter() - started) * 1000)
    return latencies


def _write_ms() -> float:
    """How long one committed write takes. Raises `DatabaseError` when the disk is full."""
    started = time.perf_counter()
    with transaction.atomic():
        WriteProbe.objects.update_or_create(pk=1, defaults={"written_at": timezone.now()})
    return (time.perf_counter() - started) * 1000


def _open_jobs() -> dict[str, int]:
    jobs: dict[str, int] = {}
    for labels, depth in gauges.queue_depth():
        jobs[labels["lane"]] = jobs.get(labels["lane"], 0) + int(depth)
    return jobs


def _silent_seconds(latest: datetime | None, now: datetime) -> float | None:
    return None if latest is None else round(max((now - latest).total_seconds(), 0.0), 1)


def _worker_status(silent_seconds: float | None) -> Status:
    if silent_seconds is None:
        return Status.CRITICAL
    interval = heartbeats.interval_seconds()
    return by_thresholds(
        silent_seconds, degraded=BEATS_DEGRADED * interval, critical=BEATS_CRITICAL * interval
    )


def _workers_message(silent: dict[str, Any], statuses: dict[str, Status]) -> str:
    failing = [lane for lane, status in statuses.items() if status != Status.HEALTHY]
    if not failing:
        return "Every lane has a live worker."
    parts = [
        f"{lane}: {'no worker' if silent[lane] is None else f'silent for {silent[lane]:.0f} s'}"
        for lane in failing
    ]
    return f"Workers are missing ({', '.join(parts)})."
