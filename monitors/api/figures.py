"""What a monitor measured: uptime, latency, the buckets of a chart."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from ninja import Field, Query, Router, Schema

from hostmaster.core.web.fields import Instant
from hostmaster.core.web.paging import paged
from hostmaster.core.web.scoping import own_or_404
from hostmaster.core.web.tenancy import TenantRequest
from monitors.models import Monitor, MonitorRollup, MonitorStateInterval, MonitorStatus
from monitors.models.rollups import RollupPeriod
from monitors.services import latency_percentiles, uptime

router = Router(tags=["monitors"])

MONTH = timedelta(days=30)


class Window(Schema):
    """A span of time; the last 30 days by default."""

    since: Instant | None = None
    until: Instant | None = None

    def bounds(self) -> tuple[datetime, datetime]:
        until = self.until or timezone.now()
        return self.since or until - MONTH, until


class FiguresOut(Schema):
    """Uptime leaves out what we could not see and what was announced as maintenance."""

    since: datetime
    until: datetime
    uptime: float | None = Field(description="0 to 1; null when no time counts.")
    up_seconds: float
    down_seconds: float
    unknown_seconds: float
    paused_seconds: float
    maintenance_seconds: float
    timed_checks: int
    p50_ms: float | None = Field(description="Off by at most 4 %.")
    p95_ms: float | None
    p99_ms: float | None


class IntervalOut(Schema):
    """How it was, from when to when; `ended_at` null: it still is so."""

    state: MonitorStatus
    started_at: datetime
    ended_at: datetime | None
    reason: str


class RollupOut(Schema):
    """The checks of one bucket of time, sums in milliseconds over the timed checks."""

    bucket: datetime
    checks: int
    failures: int
    timed: int
    response_ms_sum: int
    response_ms_max: int
    dns_ms_sum: int
    connect_ms_sum: int
    tls_ms_sum: int
    ttfb_ms_sum: int
    transfer_ms_sum: int
    seconds_up: float | None
    seconds_down: float | None
    seconds_unknown: float | None
    seconds_maintenance: float | None


class RollupFilters(Window):
    period: RollupPeriod = RollupPeriod.HOUR


@router.get("/monitors/{monitor_id}/figures", response=FiguresOut)
def get_figures(request: TenantRequest, monitor_id: UUID, window: Query[Window]) -> dict[str, Any]:
    """Its uptime and its latency."""
    monitor = own_or_404(request, Monitor, monitor_id)
    since, until = window.bounds()
    up, latency = uptime(monitor, since, until), latency_percentiles(monitor, since, until)
    return {
        "since": since,
        "until": until,
        "uptime": up.ratio,
        "timed_checks": latency.timed,
        **vars(up),
        **{name: getattr(latency, name) for name in ("p50_ms", "p95_ms", "p99_ms")},
    }


@router.get("/monitors/{monitor_id}/intervals", response=list[IntervalOut])
@paged
def list_intervals(request: TenantRequest, monitor_id: UUID) -> QuerySet[MonitorStateInterval]:
    """How it was, the latest first."""
    monitor = own_or_404(request, Monitor, monitor_id)
    return monitor.intervals.order_by("-started_at", "-pk")


@router.get("/monitors/{monitor_id}/rollups", response=list[RollupOut])
@paged
def list_rollups(
    request: TenantRequest, monitor_id: UUID, filters: Query[RollupFilters]
) -> QuerySet[MonitorRollup]:
    """Its checks in buckets of 5 minutes (kept 14 days), an hour (400 days) or a day."""
    monitor = own_or_404(request, Monitor, monitor_id)
    since, until = filters.bounds()
    rollups = monitor.rollups.filter(period=filters.period, bucket__gte=since, bucket__lt=until)
    return rollups.order_by("bucket", "pk")
