"""Monitors: add, change, pause, check now, look at what they measured."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from ninja import Field, Query, Router, Schema, Status
from pydantic import SecretStr

from hostmaster.core.web.errors import ConflictError, ErrorOut
from hostmaster.core.web.fields import Instant
from hostmaster.core.web.paging import paged
from hostmaster.core.web.scoping import ensure_version, own, own_or_404
from hostmaster.core.web.tenancy import TenantRequest
from monitors.api.schemas import (
    CheckOut,
    CreatedMonitorOut,
    MonitorIn,
    MonitorOut,
    MonitorPatch,
    PushTokenOut,
    Settings,
)
from monitors.models import Monitor, MonitorCheck, MonitorKind, MonitorStatus
from monitors.services import (
    MonitorChangedError,
    add_monitor,
    check_now,
    edit_monitor,
    pause,
    remove_monitor,
    renew_push_token,
    resume,
)

router = Router(tags=["monitors"])


class MonitorFilters(Schema):
    status: MonitorStatus | None = None
    kind: MonitorKind | None = None
    enabled: bool | None = None
    external_id: str | None = Field(None, max_length=200)
    tag: str | None = Field(None, max_length=100)
    search: str | None = Field(None, max_length=200, description="Part of the name or the URL.")


class CheckFilters(Schema):
    success: bool | None = None
    since: Instant | None = None
    until: Instant | None = None


@router.get("/monitors", response=list[MonitorOut])
@paged
def list_monitors(request: TenantRequest, filters: Query[MonitorFilters]) -> QuerySet[Monitor]:
    """Your monitors by name."""
    wanted: dict[str, Any] = filters.model_dump(exclude_none=True)
    search, tag = wanted.pop("search", ""), wanted.pop("tag", "")
    monitors = Monitor.objects.filter(tenant=request.tenant, **wanted)
    if search:
        monitors = monitors.matching(search)
    if tag:
        monitors = monitors.tagged(tag)
    return monitors.select_related("run").prefetch_related("depends_on").order_by("name", "pk")


@router.post("/monitors", response={201: CreatedMonitorOut, 404: ErrorOut, 409: ErrorOut})
def create_monitor(request: TenantRequest, body: MonitorIn) -> Status[Monitor]:
    """Add a monitor; it is checked within seconds. 409 when its `external_id` is taken."""
    fields = _fields(request, body, body.model_dump())
    return Status(201, add_monitor(request.tenant, **fields))


@router.get("/monitors/{monitor_id}", response=MonitorOut)
def get_monitor(request: TenantRequest, monitor_id: UUID) -> Monitor:
    """One monitor and how it is."""
    return own_or_404(request, Monitor, monitor_id)


@router.patch("/monitors/{monitor_id}", response={200: MonitorOut, 409: ErrorOut})
def patch_monitor(request: TenantRequest, monitor_id: UUID, body: MonitorPatch) -> Monitor:
    """Change it; what is under way by the old configuration changes no state any more."""
    monitor = own_or_404(request, Monitor, monitor_id)
    ensure_version(monitor, body.version)
    given = body.model_dump(exclude_unset=True, exclude={"version"})
    try:
        return edit_monitor(monitor, **_fields(request, body, given, of=monitor))
    except MonitorChangedError as error:
        raise ConflictError(str(error.message)) from error


@router.delete("/monitors/{monitor_id}", response={204: None})
def delete_monitor(request: TenantRequest, monitor_id: UUID) -> Status[None]:
    """Forget the monitor and all that it measured. Its incidents stay."""
    remove_monitor(own_or_404(request, Monitor, monitor_id))
    return Status(204, None)


@router.post("/monitors/{monitor_id}/check", response={202: MonitorOut, 409: ErrorOut})
def check_monitor(request: TenantRequest, monitor_id: UUID) -> Status[Monitor]:
    """Check it now. 409 when it is paused, a push monitor, or being checked already."""
    monitor = own_or_404(request, Monitor, monitor_id)
    if not check_now(monitor):
        raise ConflictError("It is paused, called by others, or being checked already.")
    return Status(202, monitor)


@router.post("/monitors/{monitor_id}/pause", response={200: MonitorOut, 409: ErrorOut})
def pause_monitor(request: TenantRequest, monitor_id: UUID) -> Monitor:
    """Stop checking it; its open incidents are resolved as such. Paused already: nothing."""
    return _switch(own_or_404(request, Monitor, monitor_id), is_on=False)


@router.post("/monitors/{monitor_id}/resume", response={200: MonitorOut, 409: ErrorOut})
def resume_monitor(request: TenantRequest, monitor_id: UUID) -> Monitor:
    """Check it again; until the first result its status is unknown."""
    return _switch(own_or_404(request, Monitor, monitor_id), is_on=True)


@router.post("/monitors/{monitor_id}/push-token", response={200: PushTokenOut, 409: ErrorOut})
def renew_token(request: TenantRequest, monitor_id: UUID) -> dict[str, str]:
    """A new token for a push monitor. 409 for another kind."""
    monitor = own_or_404(request, Monitor, monitor_id)
    if monitor.kind != MonitorKind.PUSH:
        raise ConflictError("Only push monitors are called by a token.")
    return {"push_token": renew_push_token(monitor)}


@router.get("/monitors/{monitor_id}/checks", response=list[CheckOut])
@paged
def list_checks(
    request: TenantRequest, monitor_id: UUID, filters: Query[CheckFilters]
) -> QuerySet[MonitorCheck]:
    """Its checks of the last 48 hours, the latest first."""
    monitor = own_or_404(request, Monitor, monitor_id)
    checks = MonitorCheck.objects.filter(monitor=monitor)
    if filters.success is not None:
        checks = checks.filter(success=filters.success)
    if filters.since is not None:
        checks = checks.filter(checked_at__gte=filters.since)
    if filters.until is not None:
        checks = checks.filter(checked_at__lt=filters.until)
    return checks.order_by("-checked_at", "-pk")


def _switch(monitor: Monitor, *, is_on: bool) -> Monitor:
    try:
        return resume(monitor) if is_on else pause(monitor)
    except MonitorChangedError as error:
        raise ConflictError(str(error.message)) from error


def _fields(
    request: TenantRequest, body: Settings, given: dict[str, Any], of: Monitor | None = None
) -> dict[str, Any]:
    """What the services take: headers revealed, parents as rows of the caller's own."""
    if "headers" in given:
        headers: dict[str, SecretStr] = body.headers
        given["headers"] = {name: value.get_secret_value() for name, value in headers.items()}
    if "depends_on" in given:
        given["depends_on"] = [own_or_404(request, Monitor, pk) for pk in body.depends_on]
    if external_id := given.get("external_id"):
        same = own(request, Monitor).filter(external_id=external_id)
        if (same.exclude(pk=of.pk) if of else same).exists():
            raise ConflictError("Another monitor has this external_id.")
    return given
