"""Periodic work: declared in each app's `registry.py`, kept as django-q2 `Schedule` rows so that
any number of clusters fire each of them once, run under a named lease, remembered in
`ScheduleState`.
"""

from __future__ import annotations

import ast
import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from croniter import croniter
from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone
from django_q.exceptions import TimeoutException
from django_q.models import Schedule as QueueSchedule
from django_q.scheduler import scheduler

from hostmaster.core import logs
from hostmaster.core.health import services as health
from hostmaster.core.jobs import doorbells, leases
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.jobs.models import ScheduleState
from hostmaster.core.registry import Schedule, get_registry, resolve

logger = logging.getLogger(__name__)

QUARANTINE = timedelta(hours=1)
SET_UP_AT_MOST = timedelta(seconds=5)


@dataclass(frozen=True)
class JobReport:
    """What one run of a schedule did, for its log line and its admin row."""

    processed: int = 0
    succeeded: int = 0
    failed: int = 0


def cron_text(schedule: Schedule) -> str:
    """The schedule's cron: its environment variable's, or its own."""
    return str(getattr(settings, schedule.setting, "") if schedule.setting else "") or schedule.cron


def next_run(cron: str, after: datetime) -> datetime:
    """Six fields, seconds last. Raises `ValueError` for a text that is not cron."""
    moment: datetime = croniter(cron, after).get_next(datetime)
    return moment


def set_up_schedules() -> None:
    """Make the rows say what the code says. Of replicas that start together one does it."""
    with leases.hold("schedules.set_up", SET_UP_AT_MOST) as held:
        if not held:
            return
        registry = get_registry()
        for schedule in registry.schedules.values():
            _upsert(schedule)
        ours = QueueSchedule.objects.filter(func=doorbells.RUN_SCHEDULE)
        ours.exclude(name__in=registry.schedules).delete()
        ScheduleState.objects.exclude(name__in=registry.schedules).delete()


def _upsert(schedule: Schedule) -> None:
    cron = cron_text(schedule)
    next_at = next_run(cron, timezone.now())
    fields: dict[str, Any] = {
        "func": doorbells.RUN_SCHEDULE,
        "args": repr((schedule.name,)),
        "schedule_type": QueueSchedule.CRON,
        "cron": cron,
        "cluster": schedule.lane.value,
        "repeats": -1,
    }
    row, created = QueueSchedule.objects.get_or_create(
        name=schedule.name, defaults={**fields, "next_run": next_at}
    )
    described: dict[str, Any] = {
        "lane": schedule.lane,
        "cron": cron,
        "description": schedule.description,
    }
    if not created:
        if row.cron != cron:
            fields["next_run"] = described["next_run_at"] = next_at
        QueueSchedule.objects.filter(pk=row.pk).update(**fields)
    ScheduleState.objects.update_or_create(
        name=schedule.name,
        defaults=described,
        create_defaults={**described, "next_run_at": next_at},
    )


def fire_due(lane: Lane) -> None:
    """Let django-q2's scheduler enqueue what is due in this lane, poison rows set aside first.

    Its round is one transaction: a single row with unreadable arguments would stop all others.
    """
    due = _due(lane)
    if not due.exists():
        return
    for row in due:
        reason = _defect(row)
        if reason:
            _quarantine(row, reason)
    scheduler(broker=doorbells.lane_broker(lane))


def _due(lane: Lane) -> QuerySet[Any]:
    mine = Q(cluster=lane.value)
    if lane is Lane.DEFAULT:
        mine |= Q(cluster__isnull=True)
    rows: QuerySet[Any] = QueueSchedule.objects.filter(mine, next_run__lt=timezone.now())
    return rows.exclude(repeats=0)


def _defect(row: Any) -> str:
    """Why django-q2's scheduler would raise on this row; empty when it would not."""
    try:
        if row.args:
            ast.literal_eval(row.args)
        _check_keywords(row.kwargs)
        if row.schedule_type != QueueSchedule.ONCE:
            row.calculate_next_run(row.next_run)
    except (ValueError, SyntaxError, TypeError, KeyError, AttributeError) as error:
        return logs.exception_text(error)
    return ""


def _check_keywords(text: str | None) -> None:
    if not text:
        return
    try:
        keywords = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return  # django-q2 has a second syntax for these, and ignores what it cannot read
    if not isinstance(keywords, dict) or not all(isinstance(key, str) for key in keywords):
        raise TypeError("keyword arguments are not a dict with names as keys")
    if not isinstance(keywords.get("q_options", {}), dict):
        raise TypeError("q_options is not a dict")


def _quarantine(row: Any, reason: str) -> None:
    """Put a defective schedule off, and say so where people look."""
    later = timezone.now() + QUARANTINE
    if QueueSchedule.objects.filter(pk=row.pk, next_run=row.next_run).update(next_run=later):
        health.record(
            "schedules",
            "error",
            f"Schedule {row.name or row.pk} cannot run and is put off for an hour: {reason}",
        )


def run_schedule(name: str) -> None:
    """What a schedule's message calls: run its verb unless another replica is at it."""
    schedule = get_registry().schedules.get(name)
    if schedule is None:
        return
    with leases.hold(f"schedule:{name}") as held:
        if held:
            _run(schedule)


def _run(schedule: Schedule) -> None:
    started_at, clock = timezone.now(), time.monotonic()
    upcoming = next_run(cron_text(schedule), started_at)
    state = ScheduleState.objects.filter(name=schedule.name)
    state.update(last_started_at=started_at, next_run_at=upcoming)
    report, error = JobReport(failed=1), "It was cut off."
    try:
        report, error = resolve(schedule.run)() or JobReport(), ""
    except TimeoutException:  # django-q2's, a SystemExit
        error = "It did not end within its lane's time."
        raise
    except Exception as raised:
        error = logs.exception_text(raised)
        logger.exception("schedule %s failed", schedule.name)
        raise
    finally:
        seconds = time.monotonic() - clock
        state.update(
            last_finished_at=timezone.now(),
            last_duration_seconds=seconds,
            last_processed=report.processed,
            last_succeeded=report.succeeded,
            last_failed=report.failed,
            last_error=error,
        )
        logs.log_run(schedule.name, report.processed, report.succeeded, report.failed, seconds)
