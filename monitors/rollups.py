"""Roll-ups of closed buckets: hours from 5 minutes, days from hours, seconds from state intervals.

Everything here replaces what it finds with what it reckons anew, so running it twice, or in two
processes, changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max, Min, Q
from django.utils import timezone

from hostmaster.core.jobs.schedules import JobReport
from monitors import histograms
from monitors.maintenance import Windows, spans_of
from monitors.models import Monitor, MonitorRollup, MonitorStateInterval, RollupPeriod
from monitors.storage import dialect, read_key
from monitors.uptime import Uptime, reckon
from monitors.writing import MAXIMA, SUMS, bucket_of

LENGTHS = {
    RollupPeriod.FIVE_MINUTES: timedelta(minutes=5),
    RollupPeriod.HOUR: timedelta(hours=1),
    RollupPeriod.DAY: timedelta(days=1),
}
FINER = {
    RollupPeriod.HOUR: RollupPeriod.FIVE_MINUTES,
    RollupPeriod.DAY: RollupPeriod.HOUR,
}
# A result is settled within its lease, long before this.
SETTLED_AFTER = timedelta(minutes=2)
CHUNK = 500
FILLED_A_RUN = 50_000  # rows of a period; what is due each 5 minutes with 50,000 monitors

_FOLD = """
SELECT monitor_id, {columns}, {joined}
FROM monitor_rollups WHERE period = %s AND bucket >= %s AND bucket < %s
GROUP BY monitor_id
"""

_SET_SECONDS = """
UPDATE monitor_rollups SET seconds_up = %s, seconds_down = %s, seconds_unknown = %s,
    seconds_maintenance = %s WHERE id = %s
"""


def roll_up() -> JobReport:
    """The schedule `monitor_rollups`: fold the hours and days that are over, then fill in how long
    monitors were up in each closed bucket. The report counts buckets' rows."""
    settled = timezone.now() - SETTLED_AFTER
    rows = sum(
        fold(period, bucket)
        for period in (RollupPeriod.HOUR, RollupPeriod.DAY)
        for bucket in _buckets_to_fold(period, settled)
    )
    for period in RollupPeriod:
        rows += fill_seconds(period, settled)
    return JobReport(processed=rows, succeeded=rows)


def start_of(period: RollupPeriod, instant: datetime) -> datetime:
    """Where the bucket begins in which `instant` lies; days are UTC's."""
    if period is RollupPeriod.FIVE_MINUTES:
        return bucket_of(instant)
    instant = instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return instant if period is RollupPeriod.HOUR else instant.replace(hour=0)


def fold(period: RollupPeriod, bucket: datetime) -> int:
    """Reckon one hour or day of every monitor from its finer roll-ups."""
    with connection.cursor() as cursor:
        cursor.execute(
            _FOLD.format(columns=_folded_columns(), joined=_joined_histograms()),
            [
                FINER[period].value,
                dialect().instant(bucket),
                dialect().instant(bucket + LENGTHS[period]),
            ],
        )
        rows = [_folded(period, bucket, row) for row in cursor.fetchall()]
    for start in range(0, len(rows), CHUNK):
        _replace(rows[start : start + CHUNK], [*SUMS, *MAXIMA, "histogram"])
    return len(rows)


def fill_seconds(period: RollupPeriod, until: datetime) -> int:
    """Write how long each monitor was up, down, unknown or in maintenance into the closed buckets
    that do not say so yet: the latest first, and of a long backlog a part a run."""
    length, filled = LENGTHS[period], 0
    waiting = MonitorRollup.objects.unfilled().filter(period=period, bucket__lte=until - length)
    for bucket in waiting.order_by("-bucket").values_list("bucket", flat=True).distinct():
        rows = list(waiting.filter(bucket=bucket).only("pk", "monitor_id").order_by("monitor_id"))
        for start in range(0, len(rows), CHUNK):
            _fill(rows[start : start + CHUNK], bucket, bucket + length)
        filled += len(rows)
        if filled >= FILLED_A_RUN:
            break
    return filled


def _buckets_to_fold(period: RollupPeriod, settled: datetime) -> Iterator[datetime]:
    """From the last one folded, in case it was folded too early, to the last that is over."""
    first = _edge(period, Max("bucket")) or _edge(FINER[period], Min("bucket"))
    while first and (bucket := start_of(period, first)) + LENGTHS[period] <= settled:
        yield bucket
        # Not hour by hour through a time in which nothing was checked.
        first = _edge(FINER[period], Min("bucket"), bucket__gte=bucket + LENGTHS[period])


def _edge(period: RollupPeriod, which: Max | Min, **bounds: datetime) -> datetime | None:
    rows = MonitorRollup.objects.filter(period=period, **bounds)
    found: datetime | None = rows.aggregate(edge=which)["edge"]
    return found


def _folded_columns() -> str:
    return ", ".join([*(f"SUM({name})" for name in SUMS), *(f"MAX({name})" for name in MAXIMA)])


def _joined_histograms() -> str:
    return (
        "STRING_AGG(histogram, ' ')" if dialect().is_postgresql else "GROUP_CONCAT(histogram, ' ')"
    )


def _folded(period: RollupPeriod, bucket: datetime, row: Sequence[Any]) -> MonitorRollup:
    key, *numbers, texts = row
    values = dict(zip((*SUMS, *MAXIMA), map(int, numbers), strict=True))
    return MonitorRollup(
        monitor_id=read_key(key),
        period=period,
        bucket=bucket,
        histogram=histograms.compact(texts or ""),
        **values,
    )


def _replace(rows: list[MonitorRollup], columns: list[str]) -> None:
    with transaction.atomic():
        alive = set(
            Monitor.objects.filter(pk__in=[row.monitor_id for row in rows]).values_list(
                "pk", flat=True
            )
        )
        MonitorRollup.objects.bulk_create(
            [row for row in rows if row.monitor_id in alive],
            update_conflicts=True,
            unique_fields=["monitor", "period", "bucket"],
            update_fields=columns,
        )


def _fill(rows: Sequence[MonitorRollup], since: datetime, until: datetime) -> None:
    figures = _uptimes([row.monitor_id for row in rows], since, until)
    values = [
        (
            u.up_seconds,
            u.down_seconds,
            u.unknown_seconds + u.paused_seconds,
            u.maintenance_seconds,
            row.pk,
        )
        for row in rows
        if (u := figures.get(row.monitor_id))
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(_SET_SECONDS, values)


def _uptimes(keys: list[UUID], since: datetime, until: datetime) -> dict[UUID, Uptime]:
    states: defaultdict[UUID, list[tuple[str, datetime, datetime]]] = defaultdict(list)
    intervals = MonitorStateInterval.objects.filter(
        Q(ended_at=None) | Q(ended_at__gt=since), monitor_id__in=keys, started_at__lt=until
    )
    for row in intervals.values_list("monitor_id", "state", "started_at", "ended_at"):
        states[row[0]].append((row[1], row[2], row[3] or until))
    monitors = Monitor.objects.filter(pk__in=keys).values_list("pk", "tenant_id", "tags")
    windows = Windows(tenant_id for _, tenant_id, _ in monitors)
    return {
        key: reckon(
            states[key], spans_of(windows.of(key, tenant_id, tags), since, until), since, until
        )
        for key, tenant_id, tags in monitors
    }
