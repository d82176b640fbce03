"""Whether people are to be told of an incident now: silences, maintenance, what it depends on.

Judged when an incident opens, again when a notification is sent, and at each evaluation for those
nobody was told of: an incident outlives the reason for silence only as one that is told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from alerts.kinds import RuleKind
from alerts.models import Incident, Silence
from monitors.maintenance import Windows, spans
from monitors.models import MaintenanceWindow, Monitor, MonitorStatus


@dataclass(frozen=True)
class Suppression:
    """Why nobody is told; an empty reason: they are. `parent_id` is the incident that says it."""

    reason: str = ""
    parent_id: UUID | None = None


TOLD = Suppression()


def reason_not_to_notify(incident: Incident, at: datetime) -> str:
    """Why nobody is to be told of `incident` at this instant, as a sentence; empty: tell."""
    return Suppressions.load([incident], at).of(incident).reason


class Suppressions:
    """The reasons for many incidents at one instant, in a few queries however many there are."""

    def __init__(
        self,
        at: datetime,
        silences: Mapping[UUID, list[Silence]],
        monitors: Mapping[UUID, Monitor],
        ancestors: Mapping[UUID, list[UUID]],
        down: dict[UUID, tuple[str, UUID | None]],
        windows: Windows,
    ) -> None:
        self._at = at
        self._silences = silences
        self._monitors = monitors
        self._ancestors = ancestors
        self._down = down  # monitor → its name, the incident that says so
        self._windows = windows
        self._open: dict[object, bool] = {}  # whether a window is open, as far as asked

    @classmethod
    def load(cls, incidents: Iterable[Incident], at: datetime) -> Suppressions:
        """Whatever may keep one of `incidents`, stored or not, from being told."""
        listed = list(incidents)
        tenants = {i.tenant_id for i in listed if i.tenant_id}
        monitor_ids = {i.monitor_id for i in listed if i.monitor_id}
        monitors = {m.pk: m for m in _in_chunks(Monitor.objects.all(), monitor_ids)}
        ancestors = _ancestors(tenants, monitor_ids)
        return cls(
            at,
            _active_silences(tenants, at),
            monitors,
            ancestors,
            _down({pk for line in ancestors.values() for pk in line}),
            Windows(tenants),
        )

    def of(self, incident: Incident) -> Suppression:
        return (
            self._by_silence(incident)
            or self._by_maintenance(incident)
            or self._by_parent(incident)
            or TOLD
        )

    def depth(self, monitor_id: UUID | None) -> int:
        """How many monitors it depends on, all the way: sorts parents before their children."""
        return len(self._ancestors.get(monitor_id, ())) if monitor_id else 0

    def note_opened(self, incident: Incident) -> None:
        """What depends on this monitor is suppressed from here on."""
        monitor = incident.monitor
        if monitor is not None and incident.alert_rule.kind == RuleKind.DOWN:
            self._down[monitor.pk] = (monitor.name, incident.pk)

    def _by_silence(self, incident: Incident) -> Suppression | None:
        monitor = self._monitors.get(incident.monitor_id) if incident.monitor_id else None
        tags = monitor.tags if monitor is not None and isinstance(monitor.tags, list) else []
        for silence in self._silences.get(incident.tenant_id or UUID(int=0), []):
            if silence.covers(
                monitor_id=incident.monitor_id, rule_id=incident.alert_rule_id, tags=tags
            ):
                until = f"{silence.until:%Y-%m-%d %H:%M} UTC"
                return Suppression(f"Silenced until {until}: {silence.reason}")
        return None

    def _by_maintenance(self, incident: Incident) -> Suppression | None:
        monitor = self._monitors.get(incident.monitor_id) if incident.monitor_id else None
        if monitor is None:
            return None
        windows = self._windows.of(monitor.pk, monitor.tenant_id, monitor.tags)
        window = next(filter(self._is_open, windows), None)
        return Suppression(f"In maintenance: {window.name}.") if window is not None else None

    def _is_open(self, window: MaintenanceWindow) -> bool:
        if window.pk not in self._open:
            self._open[window.pk] = any(spans(window, self._at, self._at))
        return self._open[window.pk]

    def _by_parent(self, incident: Incident) -> Suppression | None:
        if incident.monitor_id is None:
            return None
        for parent in self._ancestors.get(incident.monitor_id, ()):
            if parent in self._down:
                name, incident_id = self._down[parent]
                return Suppression(f"{name}, which it depends on, is down.", incident_id)
        return None


def ancestors_of(edges: Mapping[Any, Collection[Any]], key: Any) -> list[Any]:
    """All it depends on, nearest first. Two that depend on each other, by whatever way, are no
    reason to be silent about either: else nobody would be told of both."""
    return [other for other in reachable(edges, key) if key not in reachable(edges, other)]


def reachable(edges: Mapping[Any, Collection[Any]], key: Any) -> dict[Any, None]:
    """Whatever its edges lead to, itself only where they lead back."""
    found: dict[Any, None] = {}
    level = list(edges.get(key, ()))
    while level:
        fresh = dict.fromkeys(other for other in level if other not in found)
        found |= fresh
        level = [parent for other in fresh for parent in edges.get(other, ())]
    return found


def _ancestors(tenants: Collection[Any], monitor_ids: Collection[UUID]) -> dict[UUID, list[UUID]]:
    if not monitor_ids:
        return {}
    edges: dict[UUID, list[UUID]] = {}
    rows = Monitor.depends_on.through.objects.filter(from_monitor__tenant__in=tenants)
    for child, parent in rows.values_list("from_monitor_id", "to_monitor_id"):
        edges.setdefault(child, []).append(parent)
    return {pk: ancestors_of(edges, pk) for pk in monitor_ids if pk in edges}


def _down(monitor_ids: Collection[UUID]) -> dict[UUID, tuple[str, UUID | None]]:
    """Those that are down, or whose last check failed: a child's failures may be confirmed before
    its parent's."""
    found: dict[UUID, tuple[str, UUID | None]] = {}
    if not monitor_ids:
        return found
    failing = Q(status=MonitorStatus.DOWN) | Q(run__failures__gt=0)
    not_up = Monitor.objects.filter(failing, enabled=True)
    for monitor in _in_chunks(not_up, monitor_ids):
        found[monitor.pk] = (monitor.name, None)
    incidents = Incident.objects.unresolved().filter(alert_rule__kind=RuleKind.DOWN)
    for incident in _in_chunks(incidents.select_related("monitor"), monitor_ids, "monitor_id"):
        if incident.monitor is not None:
            found[incident.monitor.pk] = (incident.monitor.name, incident.pk)
    return found


def _active_silences(tenants: Collection[Any], at: datetime) -> dict[UUID, list[Silence]]:
    found: dict[UUID, list[Silence]] = {}
    for silence in Silence.objects.active(at).filter(tenant__in=tenants):
        found.setdefault(silence.tenant_id, []).append(silence)
    return found


def _in_chunks(rows: Any, pks: Collection[UUID], field: str = "pk", size: int = 5000) -> list[Any]:
    """`rows` of these keys. SQLite takes 32,766 parameters a statement."""
    keys = list(pks)
    found: list[Any] = []
    for start in range(0, len(keys), size):
        found += rows.filter(**{f"{field}__in": keys[start : start + size]})
    return found
