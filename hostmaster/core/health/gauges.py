"""Gauges from heartbeats and component states."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone

from hostmaster.core.health import heartbeats
from hostmaster.core.health.components import BEATS_CRITICAL
from hostmaster.core.health.models import ComponentState, Heartbeat
from hostmaster.core.jobs.lanes import Lane

Sample = tuple[dict[str, str], float]


def live_workers() -> QuerySet[Heartbeat]:
    """Workers that beat lately; those that went silent would be figures of the past."""
    silence = timedelta(seconds=BEATS_CRITICAL * heartbeats.interval_seconds())
    return Heartbeat.objects.filter(
        kind=Heartbeat.Kind.WORKER, beat_at__gte=timezone.now() - silence
    )


def workers_up() -> Iterator[Sample]:
    lanes = [worker.lane for worker in live_workers()]
    for lane in Lane:
        yield {"lane": lane.value}, float(lanes.count(lane.value))


def worker_rss_bytes() -> Iterator[Sample]:
    for worker in live_workers():
        yield {"lane": worker.lane, "worker": worker.name}, float(worker.rss_bytes)


def worker_cpu_seconds() -> Iterator[Sample]:
    for worker in live_workers():
        yield {"lane": worker.lane, "worker": worker.name}, worker.cpu_seconds


def worker_jobs_done() -> Iterator[Sample]:
    for worker in live_workers():
        yield {"lane": worker.lane, "worker": worker.name}, float(worker.jobs_done)


def component_status() -> Iterator[Sample]:
    for state in ComponentState.objects.all():
        yield {"component": state.component, "status": state.status}, 1.0
