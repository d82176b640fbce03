"""The facts of monitors: which are covered by rules, and their last checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Q
from django.utils.dateparse import parse_datetime

from alerts.evaluators.types import Finding, Judgement, Key, Outcome, Scope
from alerts.models import AlertRule, Incident, Resolution
from monitors.models import Monitor, MonitorStatus
from monitors.models.monitors import MonitorQuerySet

OWN_OUTAGE = "own_outage"  # we could not look: neither a failure nor a success
MOST_SUSPECTS = 5000  # named one by one; SQLite takes 32,766 parameters a statement


class Check(NamedTuple):
    """One row of `monitor_checks`."""

    success: bool
    response_time_ms: int | None
    error_code: str | None
    error_message: str | None
    status_code: int | None
    moment: datetime | float | str  # made a datetime only where it is told

    @property
    def checked_at(self) -> datetime:
        return instant(self.moment)


@dataclass(frozen=True, slots=True)
class Watched:
    """A monitor that a rule may be about."""

    pk: UUID
    tenant_id: UUID
    name: str
    is_paused: bool
    successes_before_up: int
    verify_tls: bool


def covered(kind: str, scope: Scope) -> MonitorQuerySet:
    """The monitors in scope that an enabled rule of `kind` is about."""
    rules = AlertRule.objects.enabled().filter(kind=kind)
    wide = rules.filter(monitor=None).values("tenant")
    single = rules.exclude(monitor=None).values("monitor")
    monitors = Monitor.objects.filter(Q(tenant__in=wide) | Q(pk__in=single)).order_by()
    if scope.monitor_ids is not None:
        monitors = monitors.filter(pk__in=scope.monitor_ids)
    return monitors


def suspects(kind: str, scope: Scope, condition: str, *params: str | float) -> Scope:
    """Those in scope that a rule of `kind` may fire for, by their newest check `c` alone, and those
    with an incident, of which more must be known.

    Of 10,000 monitors nearly all are well: to read one row of each takes a tenth of the time that
    reading and judging all the last ones did.
    """
    if not scope.is_whole:
        return scope
    newest = "success, response_time_ms, error_code"
    return narrowed(
        kind, scope, _last_rows(_LAST, newest, covered(kind, scope), 1, condition, params)
    )


def narrowed(kind: str, scope: Scope, suspected: Iterable[UUID]) -> Scope:
    """These monitors, and those with an incident that may be over; all of them if they are many."""
    if not scope.is_whole:
        return scope
    standing = Incident.objects.unresolved().filter(alert_rule__kind=kind, monitor__isnull=False)
    found = frozenset(suspected).union(standing.order_by().values_list("monitor_id", flat=True))
    return Scope(found) if len(found) <= MOST_SUSPECTS else scope


def watched_monitors(kind: str, scope: Scope) -> list[Watched]:
    """What is needed of the monitors that rules of `kind` cover."""
    rows = covered(kind, scope).values_list(
        "pk", "tenant_id", "name", "enabled", "status", "successes_before_up", "verify_tls"
    )
    return [
        Watched(pk, tenant, name, not enabled or status == MonitorStatus.PAUSED, successes, verify)
        for pk, tenant, name, enabled, status, successes, verify in rows
    ]


def pairs(
    rules: Sequence[AlertRule], monitors: Sequence[Watched]
) -> Iterator[tuple[AlertRule, Watched]]:
    """Each rule with each monitor it covers. A rule covers none of another tenant."""
    by_pk = {monitor.pk: monitor for monitor in monitors}
    by_tenant: dict[UUID, list[Watched]] = {}
    for monitor in monitors:
        by_tenant.setdefault(monitor.tenant_id, []).append(monitor)
    for rule in rules:
        if rule.monitor_id is None:
            yield from ((rule, monitor) for monitor in by_tenant.get(rule.tenant_id, []))
        elif (one := by_pk.get(rule.monitor_id)) and one.tenant_id == rule.tenant_id:
            yield rule, one


def key_of(rule: AlertRule, monitor: Watched) -> Key:
    return Key(rule.pk, monitor.pk, "")


def subject_of(monitor: Watched) -> str:
    return f"monitor:{monitor.pk}"


def note(
    judgement: Judgement,
    rule: AlertRule,
    monitor: Watched,
    outcome: Outcome,
    finding: Finding | None = None,
) -> None:
    """Enter what one rule came to for one monitor."""
    key = key_of(rule, monitor)
    if monitor.is_paused:
        judgement.ended[key] = Resolution.MONITOR_PAUSED
    elif outcome is Outcome.FIRING and finding is not None:
        judgement.firing.append(finding)
    elif outcome is Outcome.CLEAR:
        judgement.ended[key] = Resolution.RECOVERED
    else:
        judgement.held.add(key)


# The last checks of each monitor by its index, however many rows it has: LATERAL where there is
# one, else a correlated list of rowids, which SQLite looks up one by one. A window function would
# read every row of two days first.
_COLUMNS = "success, response_time_ms, error_code, error_message, status_code, {moment}"
# As the databases' drivers give it away quickly: reading 80,000 timestamps took longer than all
# the rest.
_MOMENT = {
    "sqlite": "checked_at || ''",
    "postgresql": "EXTRACT(EPOCH FROM checked_at)::double precision AS moment",
}
_CERTIFICATE = "ssl_valid, ssl_expires_at, error_message, checked_at"
_LAST = "SELECT {columns} FROM monitor_checks WHERE monitor_id = m.id ORDER BY checked_at DESC"
# The certificate is looked at in one check of ten or so; of plain HTTP in none, so not in all rows.
# In the inner order: to sort by it once more, SQLite would read all forty.
_LAST_CERTIFICATE = (
    "SELECT {columns} FROM ("
    "SELECT rowid, ssl_valid, ssl_expires_at, error_message, checked_at FROM monitor_checks "
    "WHERE monitor_id = m.id ORDER BY checked_at DESC LIMIT 40"
    ") r WHERE ssl_valid IS NOT NULL OR ssl_expires_at IS NOT NULL"
)


def last_checks(kind: str, scope: Scope, count: int) -> dict[UUID, list[Check]]:
    """Up to `count` checks of each running monitor in scope, the newest first."""
    columns = _COLUMNS.format(moment=_MOMENT[connection.vendor])
    rows = _last_rows(_LAST, columns, covered(kind, scope), count)
    return {pk: _newest_first(checks) for pk, checks in rows.items()}


def last_certificates(kind: str, scope: Scope) -> dict[UUID, tuple[Any, ...]]:
    """The newest row of each running monitor in scope that tells of its certificate."""
    rows = _last_rows(_LAST_CERTIFICATE, _CERTIFICATE, covered(kind, scope), 1)
    return {pk: found[0] for pk, found in rows.items()}


def _last_rows(
    last: str,
    columns: str,
    monitors: MonitorQuerySet,
    count: int,
    condition: str = "TRUE",
    values: Sequence[str | float] = (),
) -> dict[UUID, list[tuple[Any, ...]]]:
    try:
        ids, params = monitors.filter(enabled=True).values("pk").query.sql_with_params()
    except EmptyResultSet:
        return {}
    if connection.vendor == "sqlite":
        listed = ", ".join(f"c.{column.strip()}" for column in columns.split(","))
        rowids = last.format(columns="rowid")
        source = f"JOIN monitor_checks c ON c.rowid IN ({rowids} LIMIT %s)"
    else:
        listed = "c.*"
        lateral = last.replace("rowid, ", "").format(columns=columns)
        source = f"CROSS JOIN LATERAL ({lateral} LIMIT %s) c"
    where = f"m.id IN ({ids}) AND ({condition})"
    # Built of constants of the evaluators; values go as parameters.
    sql = f"SELECT m.id, {listed} FROM monitors m {source} WHERE {where}"  # noqa: S608 ours
    with connection.cursor() as cursor:
        cursor.execute(sql, (count, *params, *values))
        return _by_monitor(cursor.fetchall())


def _by_monitor(rows: Sequence[tuple[Any, ...]]) -> dict[UUID, list[tuple[Any, ...]]]:
    found: dict[Any, list[tuple[Any, ...]]] = {}
    for monitor_id, *values in rows:
        found.setdefault(monitor_id, []).append(tuple(values))
    return {pk if isinstance(pk, UUID) else UUID(pk): checks for pk, checks in found.items()}


def _newest_first(rows: list[tuple[Any, ...]]) -> list[Check]:
    checks = [
        Check(bool(success), ms, code, message, status, moment)
        for success, ms, code, message, status, moment in rows
    ]
    checks.sort(key=lambda check: check.moment, reverse=True)
    return checks


def instant(value: Any) -> datetime:
    """A moment as the database gives it: SQLite gives text, in whatever form it was written."""
    if isinstance(value, float):
        return datetime.fromtimestamp(value, UTC)
    moment = value if isinstance(value, datetime) else parse_datetime(str(value))
    if moment is None:
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
