"""The statements with which workers take due monitors and hand them back.

A claim pushes `next_check_at` out by the monitor's time-out and 20 s more: that is the lease. `seq`
goes up with each claim; whoever brings an older one has lost it. Clocks of hosts play no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from monitors import storage
from monitors.models import Monitor, MonitorRun

LEASE_SPARE_SECONDS = 20

_RUN_COLUMNS = (
    *("monitor_id", "seq", "due_at", "state", "failures", "successes", "pending_since"),
    *("unseen_since", "next_certificate_at", "ssl_valid", "ssl_expires_at"),
)
_CONFIG_COLUMNS = (
    *("version", "tenant_id", "name", "kind", "url", "enabled", "interval_seconds"),
    *("timeout_seconds", "method", "headers_sealed", "body", "expected_status", "keyword"),
    *("keyword_absent", "assertions", "follow_redirects", "max_redirects", "verify_tls"),
    *("check_certificate", "min_tls_version", "retries", "retry_interval_seconds"),
    *("successes_before_up", "push_grace_seconds"),
)

# FOR UPDATE SKIP LOCKED: workers pass each other's rows by instead of waiting for them.
# MATERIALIZED: as a subquery in FROM it may stand inside a nested loop, where each turn runs it
# again, passes its own rows by and takes others, beyond the limit.
_CLAIM_POSTGRESQL = """
WITH due AS MATERIALIZED (
    SELECT monitor_id FROM monitor_runs WHERE next_check_at <= {now}{bound}
    ORDER BY next_check_at LIMIT %s FOR UPDATE SKIP LOCKED
)
UPDATE monitor_runs r
SET due_at = COALESCE(r.held_back_since, r.next_check_at), held_back_since = NULL,
    next_check_at = {lease}, lease_until = {lease}, lease_by = %s, seq = r.seq + 1
FROM due JOIN monitors m ON m.id = due.monitor_id
WHERE r.monitor_id = due.monitor_id
RETURNING {run}, {now}, {config}
"""

# One statement in an IMMEDIATE transaction: SQLite has one writer, so nobody is in between.
_CLAIM_SQLITE = """
UPDATE monitor_runs
SET due_at = COALESCE(held_back_since, next_check_at), held_back_since = NULL,
    next_check_at = {lease}, lease_until = {lease}, lease_by = %s, seq = seq + 1
WHERE monitor_id IN (
    SELECT monitor_id FROM monitor_runs WHERE next_check_at <= {now}{bound}
    ORDER BY next_check_at LIMIT %s
)
RETURNING {run}, {now}
"""
_BOUND = " AND COALESCE(held_back_since, next_check_at) <= %s"
_CONFIG_SQLITE = "SELECT id, {config} FROM monitors WHERE id IN ({marks})"

_HAND_BACK = """
UPDATE monitor_runs
SET next_check_at = {again}, held_back_since = {since}, lease_until = NULL, lease_by = ''
WHERE monitor_id = %s AND seq = %s AND next_check_at IS NOT NULL
"""


class Claim(NamedTuple):
    """A monitor that is ours to check now: its run, the instant of the claim, its configuration."""

    key: UUID
    seq: int
    due_at: datetime
    state: str
    failures: int
    successes: int
    pending_since: datetime | None
    unseen_since: datetime | None
    next_certificate_at: datetime | None
    ssl_valid: bool | None
    ssl_expires_at: datetime | None
    claimed_at: datetime
    version: int
    tenant_id: UUID
    name: str
    kind: str
    url: str
    enabled: bool
    interval_seconds: int
    timeout_seconds: float
    method: str
    headers_sealed: str | None
    body: str
    expected_status: str
    keyword: str
    keyword_absent: bool
    assertions: str | list[Any]  # JSON, as text from a claim
    follow_redirects: bool
    max_redirects: int
    verify_tls: bool
    check_certificate: bool
    min_tls_version: str
    retries: int
    retry_interval_seconds: int
    successes_before_up: int
    push_grace_seconds: int

    def __repr__(self) -> str:
        return f"<Claim {self.key} seq {self.seq}>"  # the rest may hold secrets

    @property
    def late_seconds(self) -> float:
        return max((self.claimed_at - self.due_at).total_seconds(), 0.0)

    @property
    def lease_seconds(self) -> float:
        return self.timeout_seconds + LEASE_SPARE_SECONDS


def claim_due(limit: int, worker: str, *, due_until: datetime | None = None) -> list[Claim]:
    """Take at most `limit` due monitors, the longest overdue first; `due_until`: none that became
    due after that instant."""
    bound = "" if due_until is None else _BOUND
    instants = [] if due_until is None else [storage.dialect().instant(due_until)]
    if connection.features.has_select_for_update_skip_locked:
        return _claim_on_postgresql(bound, [*instants, limit, worker])
    return _claim_on_sqlite(bound, [worker, *instants, limit])


def hand_back(claims: Sequence[Claim], *, after_seconds: float = 0.0) -> None:
    """Give up claims that were not probed, for whoever comes first, after a while. When they were
    due is kept, so lateness is told in full."""
    if not claims:
        return
    kept = storage.dialect()
    statement = _HAND_BACK.format(again=kept.later("%s"), since="%s")
    rows = [
        (after_seconds, kept.instant(claim.due_at), kept.key(claim.key), claim.seq)
        for claim in sorted(claims, key=lambda claim: claim.key)
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(statement, rows)


def claim_of(monitor: Monitor, run: MonitorRun, at: datetime) -> Claim:
    """What a claim at that instant would have brought, for who has locked the run."""
    values = [getattr(run, name) for name in _RUN_COLUMNS]
    config = [getattr(monitor, name) for name in _CONFIG_COLUMNS]
    return Claim._make([*values, at, *config])._replace(due_at=at)


def _claim_on_postgresql(bound: str, values: list[Any]) -> list[Claim]:
    kept = storage.dialect()
    statement = _CLAIM_POSTGRESQL.format(
        lease=kept.later(f"m.timeout_seconds + {LEASE_SPARE_SECONDS}"),
        now=kept.now,
        bound=bound,
        run=", ".join(f"r.{name}" for name in _RUN_COLUMNS),
        config=", ".join(f"m.{name}" for name in _CONFIG_COLUMNS),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return [Claim._make(row) for row in cursor.fetchall()]


def _claim_on_sqlite(bound: str, values: list[Any]) -> list[Claim]:
    kept = storage.dialect()
    timeout = "(SELECT timeout_seconds FROM monitors m WHERE m.id = monitor_id)"
    statement = _CLAIM_SQLITE.format(
        lease=kept.later(f"{timeout} + {LEASE_SPARE_SECONDS}"),
        now=kept.now,
        bound=bound,
        run=", ".join(_RUN_COLUMNS),
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)
        runs = cursor.fetchall()
        configs = _configs(cursor, [run[0] for run in runs])
    return [_claim(run, configs[run[0]]) for run in runs]


def _configs(cursor: Any, keys: list[str]) -> dict[str, tuple[Any, ...]]:
    if not keys:
        return {}
    marks = ", ".join(["%s"] * len(keys))
    cursor.execute(_CONFIG_SQLITE.format(config=", ".join(_CONFIG_COLUMNS), marks=marks), keys)
    return {row[0]: row[1:] for row in cursor.fetchall()}


def _claim(run: Sequence[Any], config: Sequence[Any]) -> Claim:
    """Of SQLite's rows: keys are text, instants know no zone; flags come as such."""
    key, seq, due_at, state, failures, successes, *instants, ssl_valid, ssl_ends, now = run
    version, tenant_id, *rest = config
    return Claim._make(
        (
            storage.read_key(key),
            *(seq, storage.read_instant(due_at), state, failures, successes),
            *(None if value is None else storage.read_instant(value) for value in instants),
            *(ssl_valid, storage.read_optional_instant(ssl_ends), storage.read_instant(now)),
            *(version, _tenant_key(tenant_id), *rest),
        )
    )


@lru_cache(maxsize=1024)
def _tenant_key(value: str) -> UUID:
    return storage.read_key(value)
