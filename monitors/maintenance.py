"""When a maintenance window is open.

A rule repeats the wall-clock time of `starts_at` in the window's zone. In the night without an hour
a time that does not exist is as much later as the clock jumps (02:30 is 03:30); in the night with
one twice it is the first. A window lasts `duration` as it elapses, whatever clocks do.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction

from hostmaster.core.tenants.models import Tenant
from monitors.models import MaintenanceWindow, Monitor
from monitors.recurrence import MaintenanceRuleError, rule_of, wall_clock, zone_of

logger = logging.getLogger(__name__)

LONGEST = timedelta(days=366)
DAY = timedelta(days=1)

Span = tuple[datetime, datetime]

EDITABLE = frozenset(
    {
        *("name", "starts_at", "duration", "rrule", "timezone", "tags", "is_for_all"),
        *("enabled", "external_id"),
    }
)


class MaintenanceChangedError(ValidationError):
    """Somebody else changed this window meanwhile: look at it again."""


def add_maintenance(
    tenant: Tenant,
    *,
    name: str,
    starts_at: datetime,
    duration: timedelta,
    rrule: str = "",
    timezone: str = "UTC",
    monitors: Sequence[Monitor] = (),
    tags: Sequence[str] = (),
    is_for_all: bool = False,
    enabled: bool = True,
    external_id: str = "",
) -> MaintenanceWindow:
    """A new window for the monitors named, those with a tag, or all. Raises `ValidationError`."""
    window = MaintenanceWindow(
        tenant=tenant,
        name=name.strip(),
        starts_at=starts_at,
        duration=duration,
        rrule=rrule.strip(),
        timezone=timezone,
        tags=list(tags),
        is_for_all=is_for_all,
        enabled=enabled,
        external_id=external_id,
    )
    _check_all(window, monitors)
    with transaction.atomic():
        window.save(force_insert=True)
        window.monitors.set(monitors)
    return window


def edit_maintenance(
    window: MaintenanceWindow, *, monitors: Sequence[Monitor] | None = None, **fields: Any
) -> MaintenanceWindow:
    """Change what is given. Raises `ValidationError`, and `MaintenanceChangedError`, which is one,
    when somebody was first."""
    if unknown := sorted(fields.keys() - EDITABLE):
        raise ValidationError(f"A maintenance window has no {', '.join(unknown)}.")
    for name, value in fields.items():
        setattr(window, name, value.strip() if name in {"name", "rrule"} else value)
    _check_all(window, list(window.monitors.all()) if monitors is None else monitors)
    values = {name: getattr(window, name) for name in fields}
    with transaction.atomic():
        if not window.update_guarded(**values):
            raise MaintenanceChangedError(str(MaintenanceChangedError.__doc__))
        if monitors is not None:
            window.monitors.set(monitors)
    return window


def maintenance_of(monitor: Monitor, at: datetime) -> MaintenanceWindow | None:
    """The window that is open for `monitor` at that instant."""
    return next((w for w in windows_of(monitor) if any(spans(w, at, at))), None)


def is_in_maintenance(monitor: Monitor, at: datetime) -> bool:
    return maintenance_of(monitor, at) is not None


def windows_of(monitor: Monitor) -> list[MaintenanceWindow]:
    """The enabled windows that hold for it: for all, by a tag, or by name."""
    return Windows([monitor.tenant_id]).of(monitor.pk, monitor.tenant_id, monitor.tags)


class Windows:
    """All enabled windows of some tenants, read once, for who looks at many monitors."""

    def __init__(self, tenant_ids: Iterable[Any]) -> None:
        self._by_tenant: dict[UUID, list[MaintenanceWindow]] = {}
        rows = MaintenanceWindow.objects.filter(tenant_id__in=set(tenant_ids), enabled=True)
        for window in rows.order_by("starts_at", "pk"):
            self._by_tenant.setdefault(window.tenant_id, []).append(window)
        named = MaintenanceWindow.monitors.through.objects.filter(
            maintenancewindow_id__in=[w.pk for ws in self._by_tenant.values() for w in ws]
        )
        self._named = set(named.values_list("maintenancewindow_id", "monitor_id"))

    def of(self, key: UUID, tenant_id: UUID, tags: object) -> list[MaintenanceWindow]:
        borne = set(tags) if isinstance(tags, list) else set()
        return [
            window
            for window in self._by_tenant.get(tenant_id, [])
            if window.is_for_all
            or (window.pk, key) in self._named
            or (isinstance(window.tags, list) and not borne.isdisjoint(window.tags))
        ]


def spans_of(windows: Iterable[MaintenanceWindow], since: datetime, until: datetime) -> list[Span]:
    """When one of the windows is open between the two instants, in order, overlaps made one."""
    found = [span for window in windows for span in spans(window, since, until)]
    result: list[Span] = []
    for start, end in sorted(found):
        start, end = max(start, since), min(end, until)
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        elif start < end:
            result.append((start, end))
    return result


def spans(window: MaintenanceWindow, since: datetime, until: datetime) -> Iterator[Span]:
    """Each time it is open that touches `since` to `until`. A rule that cannot be used, which only
    plain SQL can write, opens nothing."""
    try:
        starts = list(_starts(window, since - window.duration, until))
    except MaintenanceRuleError as error:
        logger.warning("maintenance window %s: %s", window.pk, error)
        return
    for start in starts:
        if start <= until and start + window.duration > since:
            yield start, start + window.duration


def _check_all(window: MaintenanceWindow, monitors: Sequence[Monitor]) -> None:
    window.full_clean()
    check_window(window)
    if any(monitor.tenant_id != window.tenant_id for monitor in monitors):
        raise ValidationError({"monitors": "These are not all monitors of this tenant."})
    if not (monitors or window.tags or window.is_for_all):
        raise ValidationError("A window is for monitors, tags, or all.")


def check_window(window: MaintenanceWindow) -> None:
    """Raises `ValidationError` for a rule, zone or duration that cannot be used."""
    if not timedelta() < window.duration <= LONGEST:
        raise ValidationError({"duration": "Up to 366 days."})
    try:
        zone = zone_of(window.timezone)
    except MaintenanceRuleError as error:
        raise ValidationError({"timezone": str(error)}) from error
    try:
        if window.rrule:
            rule_of(window.rrule, wall_clock(window.starts_at, zone), window.timezone)
    except MaintenanceRuleError as error:
        raise ValidationError({"rrule": str(error)}) from error


def _starts(window: MaintenanceWindow, after: datetime, until: datetime) -> Iterator[datetime]:
    if not window.rrule:
        yield window.starts_at
        return
    zone = zone_of(window.timezone)
    rule = rule_of(window.rrule, wall_clock(window.starts_at, zone), window.timezone)
    # Wall clocks jump, so look a day further on both sides; who asks compares instants.
    latest = wall_clock(until, zone) + DAY
    walls = rule.xafter(wall_clock(after, zone) - DAY, inc=True)
    for wall in takewhile(lambda wall: wall <= latest, walls):
        yield wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
