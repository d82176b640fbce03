"""What the kernel calls: the drain, and the schedules with the customer's names."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Count, Q
from django.utils import timezone

from hostmaster.core.jobs import doorbells
from hostmaster.core.jobs.drains import Turn
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.jobs.models import ScheduleState
from hostmaster.core.jobs.schedules import JobReport
from monitors import foreign_rows, scheduling, turns
from monitors.models import MonitorCheck

DRAIN = "monitor_checks"
LONGEST_LOOK_BACK = timedelta(hours=1)


def has_due_checks() -> bool:
    return turns.is_awaited_here() or turns.is_something_due()


def drain_checks(turn: Turn) -> int:
    return turns.of_this_process().take(turn)


def sum_up_checks() -> JobReport:
    """The schedule `health_check`: what was checked since its last run. The checks themselves are
    driven by what is due; this finds what nobody rang for, and what plain SQL changed."""
    scheduling.follow_enabled()
    scheduling.put_off_no_longer()
    if turns.is_something_due() and not doorbells.lane_depth(Lane.DEFAULT):
        doorbells.send(Lane.DEFAULT, doorbells.RUN_DRAIN, DRAIN)
    report = _report("health_check", Q(), Q(success=True))
    foreign_rows.tell_of_unreadable()  # last: what others wrote must not stop what is ours
    return report


def sum_up_certificates() -> JobReport:
    """The schedule `ssl_check`: certificates looked at since its last run, and how many hold."""
    return _report("ssl_check", Q(ssl_valid__isnull=False), Q(ssl_valid=True))


def _report(name: str, which: Q, good: Q) -> JobReport:
    checks = MonitorCheck.objects.filter(which, checked_at__gt=_last_run(name))
    counts = checks.aggregate(all=Count("pk"), good=Count("pk", filter=good))
    processed, succeeded = counts["all"], counts["good"]
    return JobReport(processed, succeeded, processed - succeeded)


def _last_run(name: str) -> datetime:
    # A run writes its own end when it has ended: this is still the one before.
    earliest = timezone.now() - LONGEST_LOOK_BACK
    state = ScheduleState.objects.filter(name=name).only("last_finished_at").first()
    return max(state.last_finished_at or earliest, earliest) if state else earliest
