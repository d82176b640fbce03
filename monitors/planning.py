"""What a document of monitors would change. Reads only; `monitors.importing` carries it out.

A monitor belongs to the document by its `external_id`, or by its key where it has none (as `export`
writes it). What the document does not say is the default; what it does not name is left alone, or
deleted with `is_pruning`, if it has an `external_id`.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError

from hostmaster.core.crypto import SealError
from hostmaster.core.tenants.models import Tenant
from monitors.documents import (
    MONITOR_FIELDS,
    WINDOW_FIELDS,
    Document,
    DocumentError,
    Entry,
    WrongValueError,
    at_line,
)
from monitors.models import MaintenanceWindow, Monitor
from monitors.services import check_window, headers_of
from monitors.validation import checked_headers, problems_of

SEALED = "(sealed)"  # what `export` writes for a header's value, and `apply` leaves as it is
_VARIABLE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# Ours: whoever may write the document must not have them sent to himself.
_OWN_SECRETS = re.compile(
    r"(SECRET|ENCRYPTION)_KEY.*|(DATABASE|REDIS|EMAIL|ELASTICSEARCH)_URL|SENTRY_DSN|METRICS_TOKEN"
    r"|(POSTGRES|REDIS)_PASSWORD|AWS_.*"
)
PLAIN = [name for name in MONITOR_FIELDS if name not in {"headers", "depends_on"}]
WINDOW_COLUMNS = {"duration_minutes": "duration", "all": "is_for_all"}
WINDOW_PLAIN = [name for name in WINDOW_FIELDS if name != "monitors"]


@dataclass(frozen=True)
class FieldChange:
    """One field; the values of headers are never in it."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Change:
    """What is to be done to one row."""

    kind: str  # monitor | maintenance
    verb: str  # create | change | delete
    key: str
    name: str
    fields: tuple[FieldChange, ...] = ()
    row: Any = field(default=None, repr=False)  # as it was read: its version is the guard
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    related: tuple[Any, ...] | None = field(default=None, repr=False)  # rows, or keys of new ones


@dataclass
class Plan:
    tenant: Tenant
    changes: list[Change] = field(default_factory=list)
    left: list[str] = field(default_factory=list)  # managed, not in the document, not pruned
    unchanged: int = 0

    def count(self, verb: str) -> int:
        return sum(change.verb == verb for change in self.changes)


def make_plan(
    tenant: Tenant, document: Document, environment: Mapping[str, str], *, is_pruning: bool = False
) -> Plan:
    """What is to be done so that the rows say what the document says. Reads only.

    Raises `DocumentError`.
    """
    return _Planning(tenant, document, environment, is_pruning=is_pruning).plan()


class _Planning:
    def __init__(
        self,
        tenant: Tenant,
        document: Document,
        environment: Mapping[str, str],
        *,
        is_pruning: bool,
    ) -> None:
        self._tenant = tenant
        self._document = document
        self._environment = environment
        self._is_pruning = is_pruning
        self._problems: list[str] = []
        self._plan = Plan(tenant)
        monitors = Monitor.objects.filter(tenant=tenant).prefetch_related("depends_on")
        windows = MaintenanceWindow.objects.filter(tenant=tenant).prefetch_related("monitors")
        self._monitors = _Rows(monitors.order_by("name", "pk"))
        self._windows = _Rows(windows.order_by("name", "pk"))

    def plan(self) -> Plan:
        for entry in self._document.monitors.values():
            self._plan_monitor(entry)
        for entry in self._document.maintenance.values():
            self._plan_window(entry)
        self._plan_rest("monitor", self._monitors)
        self._plan_rest("maintenance", self._windows)
        if self._problems:
            raise DocumentError(self._problems)
        return self._plan

    def _plan_monitor(self, entry: Entry) -> None:
        row = self._claim(self._monitors, entry)
        wanted = {name: entry.fields.get(name, default_of(Monitor, name)) for name in PLAIN}
        wanted |= {name: wanted[name].strip() for name in ("name", "url")}
        draft = copy.copy(row) if row is not None else Monitor(tenant=self._tenant)
        for name, value in wanted.items():
            setattr(draft, name, value)
        self._note_problems(entry, lambda: _check_draft(draft))
        headers = self._wanted_headers(entry, row)
        parents = self._related(entry, "depends_on")
        if row is None:
            values = {**wanted, **({"headers": headers} if headers else {})}
            self._add(
                Change("monitor", "create", entry.key, wanted["name"], (), None, values, parents)
            )
            return
        values, changes = _differences(row, wanted, PLAIN, {})
        if (change := _header_change(row, headers)) is not None:
            changes.append(change)
            values["headers"] = headers
        related = self._related_change("depends_on", row.depends_on.all(), parents, changes)
        self._add_change("monitor", entry, row, values, changes, related)

    def _plan_window(self, entry: Entry) -> None:
        row = self._claim(self._windows, entry)
        wanted = {
            name: entry.fields.get(
                name, default_of(MaintenanceWindow, WINDOW_COLUMNS.get(name, name))
            )
            for name in WINDOW_PLAIN
        }
        wanted |= {name: wanted[name].strip() for name in ("name", "rrule")}
        columns = {WINDOW_COLUMNS.get(name, name): value for name, value in wanted.items()}
        monitors = self._related(entry, "monitors")
        draft = copy.copy(row) if row is not None else MaintenanceWindow(tenant=self._tenant)
        for name, value in columns.items():
            setattr(draft, name, value)
        self._note_problems(entry, lambda: check_window(draft))
        if not (monitors or draft.tags or draft.is_for_all):
            self._problems.append(at_line(entry.line, "a window is for monitors, tags, or all"))
        if row is None:
            change = Change(
                "maintenance", "create", entry.key, draft.name, (), None, columns, monitors
            )
            self._add(change)
            return
        values, changes = _differences(row, wanted, WINDOW_PLAIN, WINDOW_COLUMNS)
        related = self._related_change("monitors", row.monitors.all(), monitors, changes)
        self._add_change("maintenance", entry, row, values, changes, related)

    def _plan_rest(self, kind: str, rows: _Rows) -> None:
        for row in rows.unclaimed():
            if not row.external_id:
                continue  # made by hand: none of the document's business
            if self._is_pruning:
                self._add(Change(kind, "delete", row.external_id, row.name, (), row))
            else:
                self._plan.left.append(f"{kind} {row.external_id}")

    def _claim(self, rows: _Rows, entry: Entry) -> Any:
        row = rows.named(entry.key)
        if row is not None and not rows.claim(row):
            self._problems.append(at_line(entry.line, f"{entry.key!r} is here by another id too"))
        return row

    def _related(self, entry: Entry, name: str) -> tuple[Any, ...]:
        """Rows that are there, keys of those to come."""
        found: list[Any] = []
        for key in entry.fields.get(name, ()):
            row = self._monitors.named(key)
            is_here = key in self._document.monitors
            is_to_go = self._is_pruning and row is not None and row.external_id and not is_here
            if (row is None and not is_here) or is_to_go:
                problem = f"{name}: there is no monitor {key!r}"
                self._problems.append(at_line(entry.line_of(name), problem))
            elif name == "depends_on" and key == entry.key:
                problem = "a monitor cannot depend on itself"
                self._problems.append(at_line(entry.line_of(name), problem))
            else:
                found.append(row if row is not None else key)
        return tuple(found)

    def _related_change(
        self,
        name: str,
        present: Iterable[Monitor],
        wanted: tuple[Any, ...],
        changes: list[FieldChange],
    ) -> tuple[Any, ...] | None:
        """`wanted` if it is another set than the present one; the change is noted."""
        before = sorted(key_of(row) for row in present)
        after = sorted(one if isinstance(one, str) else key_of(one) for one in wanted)
        if before == after:
            return None
        changes.append(FieldChange(name, before, after))
        return wanted

    def _wanted_headers(self, entry: Entry, row: Monitor | None) -> dict[str, str]:
        given: Mapping[str, str] = entry.fields.get("headers", {})
        present = present_headers(row) if row is not None else {}
        headers: dict[str, str] = {}
        for name, text in given.items():
            try:
                headers[name] = self._header(name, text, present or {})
            except WrongValueError as error:
                self._problems.append(at_line(entry.line_of("headers"), f"headers: {error}"))
        self._note_problems(entry, lambda: checked_headers(headers))
        return headers

    def _header(self, name: str, text: str, present: Mapping[str, str]) -> str:
        if text != SEALED:
            return _VARIABLE.sub(self._variable, text)
        if name not in present:
            raise WrongValueError(f"{name} has no sealed value to keep: give it as ${{NAME}}")
        return present[name]

    def _variable(self, match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return "$"
        if _OWN_SECRETS.fullmatch(name):
            raise WrongValueError(f"{name} is a secret of this installation")
        value = self._environment.get(name)
        if value is None:
            raise WrongValueError(f"the environment has no {name}")
        return value

    def _note_problems(self, entry: Entry, check: Callable[[], Any]) -> None:
        try:
            check()
        except ValidationError as error:
            by_field = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
            for name, sentences in by_field.items():
                where = f"{name}: " if name not in {"", "__all__"} else ""
                text = where + " ".join(sentences)
                self._problems.append(at_line(entry.line_of(name), text))

    def _add_change(
        self,
        kind: str,
        entry: Entry,
        row: Any,
        values: dict[str, Any],
        changes: list[FieldChange],
        related: tuple[Any, ...] | None,
    ) -> None:
        if not changes:
            self._plan.unchanged += 1
            return
        self._add(Change(kind, "change", entry.key, row.name, tuple(changes), row, values, related))

    def _add(self, change: Change) -> None:
        self._plan.changes.append(change)


class _Rows:
    """Rows of one table, by what a document calls them."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self._all = list(rows)
        self._by_key = {str(row.pk): row for row in self._all}
        self._by_key |= {row.external_id: row for row in self._all if row.external_id}
        self._claimed: set[UUID] = set()

    def named(self, key: str) -> Any:
        return self._by_key.get(key)

    def claim(self, row: Any) -> bool:
        if row.pk in self._claimed:
            return False
        self._claimed.add(row.pk)
        return True

    def unclaimed(self) -> Iterator[Any]:
        return (row for row in self._all if row.pk not in self._claimed)


def key_of(row: Any) -> str:
    """What a document calls it."""
    return str(row.external_id or row.pk)


def _check_draft(draft: Monitor) -> None:
    draft.clean_fields(exclude={"tenant"})
    if problems := problems_of(draft):
        raise ValidationError(problems)


def _differences(
    row: Any, wanted: Mapping[str, Any], names: Iterable[str], columns: Mapping[str, str]
) -> tuple[dict[str, Any], list[FieldChange]]:
    values: dict[str, Any] = {}
    changes = []
    for name in names:
        column = columns.get(name, name)
        present = getattr(row, column)
        if not _is_same(present, wanted[name]):
            values[column] = wanted[name]
            changes.append(FieldChange(name, present, wanted[name]))
    return values, changes


def _is_same(present: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):  # JSON, in which true is not 1
        return json.dumps(present, sort_keys=True) == json.dumps(wanted, sort_keys=True)
    return bool(present == wanted)


def _header_change(row: Monitor, wanted: Mapping[str, str]) -> FieldChange | None:
    present = present_headers(row)
    if present == wanted:
        return None
    if present is None:
        return FieldChange("headers", ["cannot be opened"], sorted(wanted))
    marked = sorted(
        f"{name} (another value)" if name in present and present[name] != text else name
        for name, text in wanted.items()
    )
    return FieldChange("headers", sorted(present), marked)


def present_headers(row: Monitor) -> dict[str, str] | None:
    """`None`: the key they were sealed with is gone."""
    try:
        return headers_of(row)
    except SealError:
        return None


def default_of(model: Any, name: str) -> Any:
    return model._meta.get_field(name).get_default()
