"""Doorbells: "look at this row", sent after commit. A lost, doubled or late one costs a delay,
never work, because `sweep` finds what is due by itself.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django_q.brokers import Broker, get_broker
from django_q.tasks import async_task

from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.registry import get_registry

if TYPE_CHECKING:
    from hostmaster.core.jobs.models import DurableJob

ALERTS_EVALUATE = "alerts.evaluate"  # facts changed: judge the rules now

RUN_JOB = "hostmaster.core.jobs.engine.run_job"
RUN_DRAIN = "hostmaster.core.jobs.drains.run_drain"
RUN_SCHEDULE = "hostmaster.core.jobs.schedules.run_schedule"


def ring(name: str, *args: str | int) -> None:
    """Ring the app that answers `name` once this transaction commits; nobody there: a no-op."""
    bell = get_registry().doorbells.get(name)
    if bell is not None:
        _send_on_commit(bell.lane, bell.task, *args)


def ring_job(job: DurableJob) -> None:
    """Ask the job's lane, or its drain, to run it once this transaction commits."""
    if job.job_kind.drain:
        ring_drain(job.job_kind.drain)
        return
    label, pk, kind = job._meta.label, str(job.pk), job.kind_name()

    def ring_now() -> None:
        send_job(label, pk, kind)

    transaction.on_commit(ring_now, robust=True)


def ring_drain(name: str) -> None:
    """Ask a drain to start now instead of at the next tick. Nothing is sent while as many of its
    tasks run as may: they see the new row themselves, or the next tick does."""
    drain = get_registry().drains.get(name)
    if drain is None:
        return

    def ring_now() -> None:
        from hostmaster.core.jobs import drains  # it rings this module's bells

        if drains.may_start(drain):
            send(drain.lane, RUN_DRAIN, name)

    waiting = transaction.get_connection().run_on_commit
    if any(getattr(bell, "drain", "") == name for _, bell, _ in waiting):
        return  # a thousand rows of one transaction need one ring
    vars(ring_now)["drain"] = name
    transaction.on_commit(ring_now, robust=True)


def ring_schedule(name: str) -> None:
    """Ask for a run of this schedule besides its clock."""
    _send_on_commit(get_registry().schedules[name].lane, RUN_SCHEDULE, name)


def send_job(label: str, pk: str, kind_name: str) -> None:
    """Send at once, for callers that are past their commit. The message carries its own time-out,
    a second past the job's deadline: what still runs then is cut off, its lease being over."""
    kind = get_registry().job_kind(label, kind_name)
    send(kind.lane, RUN_JOB, label, pk, timeout=int(kind.deadline.total_seconds()) + 1)


def send(lane: Lane, task: str, *args: Any, **options: Any) -> None:
    async_task(task, *args, cluster=lane.value, broker=lane_broker(lane), **options)


def lane_depth(lane: Lane) -> int:
    """Messages in this lane that no cluster has taken yet."""
    return int(lane_broker(lane).queue_size() or 0)


@cache
def lane_broker(lane: Lane) -> Broker:
    """One broker a lane and process: making one anew costs a connection a message on Redis."""
    return get_broker(lane.value)


def _send_on_commit(lane: Lane, task: str, *args: Any) -> None:
    def ring_now() -> None:  # not a partial: Django cannot log the failure of one
        send(lane, task, *args)

    # robust: a broker that is down must not fail the caller, whose row is committed.
    transaction.on_commit(ring_now, robust=True)
