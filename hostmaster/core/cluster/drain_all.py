"""`manage.py qcluster --drain`: everything due now, all lanes, in this process."""

from __future__ import annotations

import logging
import pydoc
from collections.abc import Callable, Iterable
from typing import Any

from django.utils import timezone
from django_q.models import Schedule as QueueSchedule
from django_q.signing import BadSignature, SignedPackage

from hostmaster.core import logs
from hostmaster.core.jobs import doorbells, drains, engine, schedules, stopping, sweep
from hostmaster.core.jobs.brokers import RowBroker
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.registry import get_registry

logger = logging.getLogger(__name__)


def drain_everything(lanes: Iterable[Lane]) -> int:
    """Run what is due until nothing is, or until the process is told to stop; answers how many
    messages, jobs, batches and schedules ran.

    Work that becomes due meanwhile (a retry, an alert's delivery) is run as well; what is due
    later stays.
    """
    lanes = list(lanes)
    total = _run_due_schedules(lanes)
    while not stopping.is_stopping():
        steps: list[Callable[[Lane], int]] = [_run_messages, _run_due_jobs, _run_due_drains]
        ran = sum(step(lane) for lane in lanes for step in steps)
        if not ran:
            break
        total += ran
    return total


def _run_messages(lane: Lane) -> int:
    """Doorbells and tasks of other code that wait in the queue: nobody else empties it here."""
    broker = doorbells.lane_broker(lane)
    take = broker.take if isinstance(broker, RowBroker) else broker.dequeue
    ran = 0
    while doorbells.lane_depth(lane) and not stopping.is_stopping():
        for key, message in take() or []:
            _run_message(message)
            broker.acknowledge(key)
            ran += 1
    return ran


def _run_message(message: str) -> None:
    try:
        task = SignedPackage.loads(message)
        verb: Any = pydoc.locate(task["func"]) if isinstance(task["func"], str) else task["func"]
        verb(*task["args"], **task["kwargs"])
    except BadSignature:
        logger.error("a message with a foreign signature was dropped")
    except Exception as error:  # noqa: BLE001 one task's failure stops no other
        logger.error("task failed: %s", logs.exception_text(error))


def _run_due_jobs(lane: Lane) -> int:
    sweep.expire_leases(lane)
    ran = 0
    for row in sweep.due_rows(lane):
        if stopping.is_stopping():
            break
        ran += engine.run_job(row.label, row.pk)
    return ran


def _run_due_drains(lane: Lane) -> int:
    due = [drain for drain in get_registry().lane_drains(lane) if drains.has_due(drain)]
    return sum(drains.run_drain(drain.name) for drain in due)


def _run_due_schedules(lanes: list[Lane]) -> int:
    """Those of the registry whose time has come; their clocks move on as if a lane had run them."""
    now, ran = timezone.now(), 0
    for schedule in get_registry().schedules.values():
        if schedule.lane not in lanes:
            continue
        upcoming = schedules.next_run(schedules.cron_text(schedule), now)
        due = QueueSchedule.objects.filter(name=schedule.name, next_run__lte=now)
        if not due.update(next_run=upcoming):
            continue
        try:
            schedules.run_schedule(schedule.name)
        except Exception as error:  # noqa: BLE001 one schedule's failure stops no other
            logger.error("schedule %s: %s", schedule.name, logs.exception_text(error))
        ran += 1
    return ran
