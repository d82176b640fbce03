"""Runs follow their monitors: made, paused, resumed, made due."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q

from hostmaster.core.clock import DatabaseNow
from monitors import grid, intervals
from monitors.models import Monitor, MonitorKind, MonitorRun, MonitorStatus
from monitors.storage import database_now, dialect

BATCH = 500
PAUSED_REASON = "Paused."
NEW_REASON = "Not checked yet."

_MOVED = (
    *("next_check_at", "phase_ms", "state", "state_since", "pending_since", "unseen_since"),
    *("failures", "successes"),
)
_TOO_FAR = """
UPDATE monitor_runs SET next_check_at = {now} WHERE lease_by = '' AND next_check_at > {latest}
"""


def follow_enabled(keys: Collection[UUID] | None = None, *, batches: int | None = None) -> int:
    """Make the runs of monitors that have none; pause and resume those whose `enabled` changed.

    It finds rows whoever wrote them: services, plain ORM, plain SQL. `batches`: leave the rest for
    the next call. Answers how many it changed.
    """
    changed = 0
    while (batches is None or batches > 0) and (batch := _unscheduled(keys)):
        with transaction.atomic():
            followed = _follow([monitor.pk for monitor in batch], batch)
        if not followed:
            break  # another worker was first
        changed += followed
        batches = None if batches is None else batches - 1
    return changed


def make_due(keys: Collection[UUID]) -> int:
    """Check these at once, certificates too; but for what is leased, which is being checked, and
    push monitors, which nobody can ask. Answers how many."""
    free = Q(lease_until=None) | Q(lease_until__lte=DatabaseNow())
    runs = MonitorRun.objects.filter(free, pk__in=keys, next_check_at__isnull=False)
    runs = runs.exclude(monitor__kind=MonitorKind.PUSH)
    return runs.update(next_check_at=DatabaseNow(), next_certificate_at=DatabaseNow())


def start_over(monitor: Monitor) -> None:
    """After an edit: its new configuration is looked at now, or waits for a call."""
    if monitor.kind == MonitorKind.PUSH:
        first = first_check_at(monitor, database_now())
        runs = MonitorRun.objects.filter(pk=monitor.pk, next_check_at__isnull=False)
        runs.update(next_check_at=first)
    else:
        make_due([monitor.pk])


def put_off_no_longer() -> int:
    """Runs that wait for longer than their interval now says, because somebody shortened it with
    plain SQL, become due."""
    interval = (
        "(SELECT interval_seconds + push_grace_seconds FROM monitors m WHERE m.id = monitor_id)"
    )
    later = dialect().later
    with connection.cursor() as cursor:
        cursor.execute(_TOO_FAR.format(now=later("0"), latest=later(interval)), [])
        return int(cursor.rowcount)


def first_check_at(monitor: Monitor, now: datetime) -> datetime:
    """A push monitor has its interval and grace to call; others are checked at once."""
    if monitor.kind == MonitorKind.PUSH:
        return now + timedelta(seconds=monitor.interval_seconds + monitor.push_grace_seconds)
    return now


def _unscheduled(keys: Collection[UUID] | None) -> list[Monitor]:
    rows = Monitor.objects.unscheduled().order_by("pk")
    return list((rows if keys is None else rows.filter(pk__in=keys))[:BATCH])


def _follow(keys: list[UUID], seen: list[Monitor]) -> int:
    """Runs first, then monitors: the order in which everybody locks them."""
    now = database_now()
    new = {monitor.pk: _new_run(monitor, now) for monitor in seen}
    old = set(MonitorRun.objects.filter(pk__in=keys).values_list("pk", flat=True))
    MonitorRun.objects.bulk_create(
        [run for key, run in new.items() if key not in old], ignore_conflicts=True
    )
    locked = MonitorRun.objects.select_for_update().filter(pk__in=keys).order_by("pk")
    runs = {run.pk: run for run in locked}
    # Read again, now that whoever was at it has committed.
    monitors = [m for m in _unscheduled(keys) if m.pk in runs]
    switched = [monitor for monitor in monitors if monitor.pk in old]
    for monitor in switched:
        _move(monitor, runs[monitor.pk], now)
    MonitorRun.objects.bulk_update([runs[monitor.pk] for monitor in switched], _MOVED)
    reasons = {True: NEW_REASON, False: PAUSED_REASON}
    intervals.record([intervals.Change(m.pk, _state(m), now, reasons[m.enabled]) for m in monitors])
    followed = 0
    for enabled, reason in reasons.items():
        pks = [monitor.pk for monitor in monitors if monitor.enabled is enabled]
        followed += Monitor.objects.filter(pk__in=pks, enabled=enabled).update(
            enabled=enabled,  # by plain SQL it may be a text, which SQLite takes for off
            is_scheduled=enabled,
            status=MonitorStatus.UNKNOWN if enabled else MonitorStatus.PAUSED,
            status_since=now,
            status_reason=reason,
        )
    # Not how many there were: what cannot be changed would be found for ever.
    return followed


def _state(monitor: Monitor) -> MonitorStatus:
    return MonitorStatus.UNKNOWN if monitor.enabled else MonitorStatus.PAUSED


def _new_run(monitor: Monitor, now: datetime) -> MonitorRun:
    run = MonitorRun(monitor_id=monitor.pk, tenant_id=monitor.tenant_id)
    _move(monitor, run, now)
    return run


def _move(monitor: Monitor, run: MonitorRun, now: datetime) -> None:
    run.phase_ms = grid.phase_ms(monitor.pk, monitor.interval_seconds)
    run.state, run.state_since, run.pending_since = _state(monitor), now, None
    run.failures, run.successes, run.unseen_since = 0, 0, None
    if not monitor.enabled:
        run.next_check_at = None
        return
    # A probe from before the pause may still be under way: no second beside it.
    first = first_check_at(monitor, now)
    run.next_check_at = max(first, run.lease_until or first)
