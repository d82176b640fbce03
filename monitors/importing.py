"""Configuration as code: writing monitors as a document, and doing what a plan says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from hostmaster.core.tenants.models import Tenant
from monitors import documents
from monitors.models import MaintenanceWindow, Monitor, MonitorRun
from monitors.planning import (
    PLAIN,
    SEALED,
    WINDOW_COLUMNS,
    Change,
    Plan,
    default_of,
    key_of,
    make_plan,
    present_headers,
)
from monitors.services import (
    add_maintenance,
    add_monitor,
    edit_maintenance,
    edit_monitor,
    remove_monitor,
)

__all__ = ["ApplyError", "apply_plan", "export", "make_plan"]


class ApplyError(Exception):
    """The plan could not be carried out to its end."""


def export(tenant: Tenant) -> str:
    """Everything of the tenant as a document; planning it again finds nothing to do."""
    monitors = Monitor.objects.filter(tenant=tenant).prefetch_related("depends_on")
    windows = MaintenanceWindow.objects.filter(tenant=tenant).prefetch_related("monitors")
    return documents.write(
        [_exported(monitor) for monitor in monitors.order_by("name", "pk")],
        [_exported_window(window) for window in windows.order_by("name", "pk")],
    )


def apply_plan(plan: Plan, tell: Callable[[Change, Any], None] = lambda change, row: None) -> None:
    """Exactly the plan, one row a transaction, each guarded by the version that was planned on.

    `tell` hears of each row that is done. Raises `ApplyError` at the first that somebody else
    changed meanwhile; what is done stays done, and planning again shows the rest.
    """
    made: dict[str, Monitor] = {}
    knots: list[tuple[Change, Monitor]] = []
    for change in _in_order(plan.changes):
        try:
            row = _carry_out(plan.tenant, change, made, knots)
        except ValidationError as error:
            sentence = " ".join(error.messages)
            raise ApplyError(f"{change.kind} {change.key}: {sentence}") from error
        except IntegrityError as error:
            raise ApplyError(f"{change.kind} {change.key}: somebody was first.") from error
        if change.kind == "monitor" and change.verb == "create":
            made[change.key] = row
        tell(change, row)
    for change, monitor in knots:  # new ones that depend on each other in a circle
        edit_monitor(monitor, depends_on=_rows_of(change, made))


# Carrying out


def _carry_out(
    tenant: Tenant, change: Change, made: Mapping[str, Monitor], knots: list[Any]
) -> Any:
    if change.verb == "delete":
        return _delete(change)
    related = _rows_of(change, made)
    values = dict(change.values)
    if change.kind == "maintenance":
        if change.verb == "create":
            return add_maintenance(tenant, external_id=change.key, monitors=related or (), **values)
        return edit_maintenance(change.row, monitors=related, **values)
    if related is not None:
        values["depends_on"] = related
    if change.verb == "change":
        return edit_monitor(change.row, **values)
    monitor = add_monitor(tenant, external_id=change.key, **values)
    if len(related or ()) < len(change.related or ()):
        knots.append((change, monitor))
    return monitor


def _delete(change: Change) -> Any:
    row = change.row
    guard = type(row).objects.filter(pk=row.pk, version=row.version)
    with transaction.atomic():
        # Runs before monitors: whoever locks both does so in this order.
        list(MonitorRun.objects.select_for_update().filter(pk=row.pk).values_list("pk"))
        if not guard.select_for_update().exists():
            raise ValidationError("Somebody else changed it meanwhile.")
        remove_monitor(row) if change.kind == "monitor" else row.delete()
    return row


def _rows_of(change: Change, made: Mapping[str, Monitor]) -> list[Monitor] | None:
    """The rows it relates to, as far as they are there."""
    if change.related is None:
        return None
    rows = (made.get(one) if isinstance(one, str) else one for one in change.related)
    return [row for row in rows if row is not None]


def _in_order(changes: Iterable[Change]) -> Iterator[Change]:
    """New monitors, each after the new ones it depends on; then changes, windows, deletions."""
    listed = list(changes)
    new = {c.key: c for c in listed if (c.kind, c.verb) == ("monitor", "create")}
    yield from _parents_first(new)
    for kind, verb in (
        ("monitor", "change"),
        ("maintenance", "create"),
        ("maintenance", "change"),
        ("maintenance", "delete"),
        ("monitor", "delete"),
    ):
        yield from (c for c in listed if (c.kind, c.verb) == (kind, verb))


def _parents_first(new: Mapping[str, Change]) -> Iterator[Change]:
    """Without recursion: a chain may be thousands long."""
    seen: set[str] = set()
    for start in new:
        stack = [(start, False)]
        while stack:
            key, is_done = stack.pop()
            if is_done:
                yield new[key]
            elif key not in seen:
                seen.add(key)
                stack.append((key, True))
                parents = [one for one in new[key].related or () if isinstance(one, str)]
                stack += [(parent, False) for parent in parents if parent in new]


# Writing


def _exported(monitor: Monitor) -> dict[str, Any]:
    written: dict[str, Any] = {"id": key_of(monitor), "name": monitor.name}
    for name in PLAIN:
        value = getattr(monitor, name)
        if name != "name" and value != default_of(Monitor, name):
            written[name] = _as_plain(value)
    if headers := present_headers(monitor):
        written["headers"] = dict.fromkeys(sorted(headers), SEALED)
    if parents := sorted(key_of(parent) for parent in monitor.depends_on.all()):
        written["depends_on"] = parents
    return written


def _exported_window(window: MaintenanceWindow) -> dict[str, Any]:
    written: dict[str, Any] = {
        "id": key_of(window),
        "name": window.name,
        "starts_at": window.starts_at,
        "duration_minutes": _short(window.duration.total_seconds() / 60),
    }
    for name in ("rrule", "timezone", "enabled", "all", "tags"):
        value = getattr(window, WINDOW_COLUMNS.get(name, name))
        if value != default_of(MaintenanceWindow, WINDOW_COLUMNS.get(name, name)):
            written[name] = value
    if monitors := sorted(key_of(monitor) for monitor in window.monitors.all()):
        written["monitors"] = monitors
    return written


def _as_plain(value: Any) -> Any:
    """Members of enumerations as the texts they are; `10.0` as 10."""
    if isinstance(value, float):
        return _short(value)
    return str(value) if isinstance(value, str) else value


def _short(number: float) -> float:
    return int(number) if number == int(number) else number
