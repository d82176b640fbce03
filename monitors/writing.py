"""Many rows at once: COPY and UNNEST on PostgreSQL, `executemany` and rows by 50 on SQLite.

Measured for 1,000 results with checks, runs and roll-ups: 12 ms on SQLite, 34 on PostgreSQL; a
`bulk_update` of the runs alone took 425 and 571.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection

from monitors import histograms
from monitors.models import RollupPeriod
from monitors.models.checks import uuid7_number
from monitors.probes.types import CertificateReport, Phases
from monitors.storage import Dialect, dialect

if TYPE_CHECKING:
    from monitors.settling import Judged, Result

BUCKET_SECONDS = 300
NO_PHASES = Phases()

# Columns with their types, which UNNEST has to be told.
CHECK_COLUMNS = (
    *("id", "monitor_id", "checked_at", "status_code", "response_time_ms", "ssl_valid"),
    *("ssl_expires_at", "error_message", "success", "error_code", "dns_ms", "connect_ms"),
    *("tls_ms", "ttfb_ms", "transfer_ms"),
)
RUN_COLUMNS = {
    "next_check_at": "timestamptz",
    "config_version": "int",
    "state": "text",
    "pending_since": "timestamptz",
    "unseen_since": "timestamptz",
    "failures": "int",
    "successes": "int",
    "last_checked_at": "timestamptz",
    "last_success": "bool",
    "last_response_ms": "int",
    "last_status_code": "int",
    "last_error": "text",
}
RUN_KEYS = {"state_since": "timestamptz", "monitor_id": "uuid", "seq": "bigint"}
PHASES = ("dns", "connect", "tls", "ttfb", "transfer")
SUMS = ("checks", "failures", "timed", "response_ms_sum", *(f"{p}_ms_sum" for p in PHASES))
MAXIMA = ("response_ms_max", *(f"{p}_ms_max" for p in PHASES))
ROLLUP_COLUMNS = {
    "monitor_id": "uuid",
    "period": "text",
    "bucket": "timestamptz",
    **dict.fromkeys((*SUMS, *MAXIMA), "bigint"),
    "histogram": "text",
}

_COPY = "COPY monitor_checks ({names}) FROM STDIN"
_INSERT = "INSERT INTO monitor_checks ({names}) VALUES {rows}"
# For a table with triggers SQLite keeps a journal of each statement: by rows of one, 9 us more.
INSERTED_AT_ONCE = 50
_UPDATE_POSTGRESQL = """
UPDATE monitor_runs r SET lease_until = NULL, lease_by = '',
    state_since = COALESCE(v.state_since, r.state_since), {assignments}
FROM UNNEST({arrays}) AS v ({names})
WHERE r.monitor_id = v.monitor_id AND r.seq = v.seq
"""
_UPDATE_SQLITE = """
UPDATE monitor_runs SET lease_until = NULL, lease_by = '', {assignments},
    state_since = COALESCE(%s, state_since)
WHERE monitor_id = %s AND seq = %s
"""
_CERTIFICATE = """
UPDATE monitor_runs SET next_certificate_at = %s, ssl_valid = %s, ssl_reason = %s,
    ssl_expires_at = %s, certificates = %s WHERE monitor_id = %s
"""
_FROM_ARRAYS = "SELECT * FROM UNNEST({})"
_UPSERT = """
INSERT INTO monitor_rollups ({names}) {source}
ON CONFLICT (monitor_id, period, bucket) DO UPDATE SET
    histogram = TRIM(monitor_rollups.histogram || ' ' || excluded.histogram), {assignments}
"""


def write_checks(results: Sequence[Result]) -> None:
    kept = dialect()
    rows = [_check_row(result, kept) for result in results]
    names = ", ".join(CHECK_COLUMNS)
    with connection.cursor() as cursor:
        if kept.is_postgresql:
            copy: Any = cursor.copy  # psycopg's, behind Django's
            with copy(_COPY.format(names=names)) as into:
                for row in rows:
                    into.write_row(row)
            return
        for start in range(0, len(rows), INSERTED_AT_ONCE):
            part = rows[start : start + INSERTED_AT_ONCE]
            marks = ", ".join([f"({_marks(len(CHECK_COLUMNS))})"] * len(part))
            statement = _INSERT.format(names=names, rows=marks)
            cursor.execute(statement, [value for row in part for value in row])


def write_runs(judged: Sequence[Judged]) -> None:
    """Fenced by `seq`, though the runs are locked: the statement must be right by itself."""
    kept = dialect()
    rows = [_run_row(one, kept) for one in judged]
    with connection.cursor() as cursor:
        if kept.is_postgresql:
            columns = RUN_COLUMNS | RUN_KEYS
            statement = _UPDATE_POSTGRESQL.format(
                assignments=", ".join(f"{name} = v.{name}" for name in RUN_COLUMNS),
                arrays=_arrays(columns),
                names=", ".join(columns),
            )
            cursor.execute(statement, _by_column(rows))
        else:
            assignments = ", ".join(f"{name} = %s" for name in RUN_COLUMNS)
            cursor.executemany(_UPDATE_SQLITE.format(assignments=assignments), rows)
        if certificates := [row for one in judged if (row := _certificate_row(one.result, kept))]:
            cursor.executemany(_CERTIFICATE, certificates)


def add_to_rollups(results: Sequence[Result]) -> None:
    """Into the bucket of five minutes in which each check was made. What our own outage spoilt
    says nothing about a monitor and is left out."""
    kept = dialect()
    rows = [_rollup_row(result, kept) for result in results if not result.is_unseen]
    if not rows:
        return
    greatest = "GREATEST" if kept.is_postgresql else "MAX"
    assignments = [f"{name} = monitor_rollups.{name} + excluded.{name}" for name in SUMS]
    assignments += [
        f"{name} = {greatest}(monitor_rollups.{name}, excluded.{name})" for name in MAXIMA
    ]
    marks, arrays = _marks(len(ROLLUP_COLUMNS)), _arrays(ROLLUP_COLUMNS)
    source = _FROM_ARRAYS.format(arrays) if kept.is_postgresql else f"VALUES ({marks})"
    statement = _UPSERT.format(
        names=", ".join(ROLLUP_COLUMNS), source=source, assignments=", ".join(assignments)
    )
    with connection.cursor() as cursor:
        if kept.is_postgresql:
            cursor.execute(statement, _by_column(rows))
        else:
            cursor.executemany(statement, rows)


def bucket_of(instant: datetime) -> datetime:
    """Where the five minutes begin in which `instant` lies."""
    return datetime.fromtimestamp(instant.timestamp() // BUCKET_SECONDS * BUCKET_SECONDS, UTC)


def _check_row(result: Result, kept: Dialect) -> tuple[Any, ...]:
    seen = result.observation
    phases = seen.phases or NO_PHASES
    report = seen.certificate
    is_fine = seen.success and not result.is_unseen
    return (
        f"{uuid7_number():032x}",
        kept.key(result.claim.key),
        kept.instant(result.checked_at),
        seen.status_code,
        seen.response_time_ms,
        report.valid if report else None,
        kept.instant(report.expires_at) if report else None,
        None if is_fine else result.error_message,
        is_fine,
        None if is_fine else result.error_code,
        phases.dns_ms,
        phases.connect_ms,
        phases.tls_ms,
        phases.ttfb_ms,
        phases.transfer_ms,
    )


def _run_row(one: Judged, kept: Dialect) -> tuple[Any, ...]:
    claim, verdict, seen = one.claim, one.verdict, one.result.observation
    return (
        kept.instant(one.next_check_at),
        claim.version,
        verdict.state,
        kept.instant(verdict.pending_since),
        kept.instant(one.unseen_since),
        verdict.failures,
        verdict.successes,
        kept.instant(one.result.checked_at),
        seen.success,
        seen.response_time_ms,
        seen.status_code,
        one.result.error_message,
        kept.instant(verdict.changed_at),
        kept.key(claim.key),
        claim.seq,
    )


def _certificate_row(result: Result, kept: Dialect) -> tuple[Any, ...] | None:
    report = result.observation.certificate
    if report is None:
        return None
    again = result.ended_at + timedelta(seconds=settings.MONITOR_CERTIFICATE_SECONDS)
    return (
        kept.instant(again),
        report.valid,
        report.reason,
        kept.instant(report.expires_at),
        _chain_json(report),
        kept.key(result.claim.key),
    )


def _chain_json(report: CertificateReport) -> str:
    text = json.dumps([asdict(certificate) for certificate in report.chain], default=str)
    return text.replace("\\u0000", "")  # which jsonb refuses


def _rollup_row(result: Result, kept: Dialect) -> tuple[Any, ...]:
    seen = result.observation
    phases = seen.phases or NO_PHASES
    took = seen.response_time_ms
    times = [took or 0, *(getattr(phases, f"{phase}_ms") or 0 for phase in PHASES)]
    return (
        kept.key(result.claim.key),
        RollupPeriod.FIVE_MINUTES.value,
        kept.instant(bucket_of(result.checked_at)),
        1,
        int(not seen.success),
        int(took is not None),
        *times,
        *times,
        "" if took is None else histograms.text_of(took),
    )


def _marks(count: int) -> str:
    return ", ".join(["%s"] * count)


def _arrays(columns: dict[str, str]) -> str:
    return ", ".join(f"%s::{kind}[]" for kind in columns.values())


def _by_column(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
    return [list(column) for column in zip(*rows, strict=True)]
