"""`manage.py qcluster --drain`: everything due now, all lanes, in this process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from django.utils import timezone
from django_q.models import Schedule as QueueSchedule

from hostmaster.core import logs
from hostmaster.core.jobs import drains, engine, schedules, sweep
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.registry import get_registry

logger = logging.getLogger(__name__)


def drain_everything(lanes: Iterable[Lane], is_stopping: Callable[[], bool]) -> int:
    """Run what is due until nothing is; answers how many jobs, batches and schedules ran.

    Work that becomes due meanwhile (a retry, an alert's delivery) is run as well; what is due
    later stays.
    """
    lanes = list(lanes)
    total = _run_due_schedules(lanes)
    while not is_stopping():
        ran = sum(_run_due_jobs(lane, is_stopping) + _run_due_drains(lane) for lane in lanes)
        if not ran:
            break
        total += ran
    return total


def _run_due_jobs(lane: Lane, is_stopping: Callable[[], bool]) -> int:
    sweep.expire_leases(lane)
    ran = 0
    for jobs in sweep.lane_jobs(lane):
        for job in jobs.due().order_by("run_at")[: sweep.BATCH]:
            if is_stopping():
                return ran
            if engine.claim(job):
                engine.execute(job)
                ran += 1
    return ran


def _run_due_drains(lane: Lane) -> int:
    mine = [drain for drain in get_registry().drains.values() if drain.lane is lane]
    return sum(drains.run_drain(drain.name) for drain in mine if drains.has_due(drain))


def _run_due_schedules(lanes: list[Lane]) -> int:
    """Those of the registry whose time has come; their clocks move on as if a lane had run them."""
    now, ran = timezone.now(), 0
    for schedule in get_registry().schedules.values():
        row = QueueSchedule.objects.filter(name=schedule.name, next_run__lte=now)
        if schedule.lane not in lanes or not row.exists():
            continue
        row.update(next_run=schedules.next_run(schedules.cron_text(schedule), now))
        try:
            schedules.run_schedule(schedule.name)
        except Exception as error:  # noqa: BLE001 one schedule's failure stops no other
            logger.error("schedule %s: %s", schedule.name, logs.exception_text(error))
        ran += 1
    return ran
