"""Maintenance windows: times in which a monitor may fail without anybody being called."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from django.db.models import QuerySet
from ninja import Field, Router, Schema, Status
from pydantic import ConfigDict

from hostmaster.core.web.errors import ErrorOut
from hostmaster.core.web.fields import EXAMPLE_ID, Input, Instant
from hostmaster.core.web.paging import paged
from hostmaster.core.web.scoping import own, own_or_404
from hostmaster.core.web.tenancy import TenantRequest
from monitors.models import MaintenanceWindow, Monitor
from monitors.services import add_maintenance

router = Router(tags=["monitors"])

Tags = Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=50)]


class WindowIn(Input):
    """For the monitors named, for those that bear one of the tags, or for all."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Sunday night",
                    "starts_at": "2026-11-29T01:00:00Z",
                    "duration_minutes": 120,
                    "rrule": "FREQ=WEEKLY;BYDAY=SU",
                    "timezone": "Europe/Berlin",
                    "is_for_all": True,
                }
            ]
        },
    )

    name: str = Field(min_length=1, max_length=200)
    starts_at: Instant
    duration_minutes: int = Field(60, ge=1, le=366 * 24 * 60)
    rrule: str = Field("", max_length=500, description="An RRULE of RFC 5545; empty: once.")
    timezone: str = Field(
        "UTC", max_length=64, description="The IANA zone whose wall clock a rule repeats."
    )
    monitors: list[UUID] = Field([], max_length=200)
    tags: Tags = []
    is_for_all: bool = False


class WindowOut(Schema):
    id: UUID
    name: str
    starts_at: datetime
    duration_minutes: int
    rrule: str
    timezone: str
    monitors: list[UUID] = Field(examples=[[EXAMPLE_ID]])
    tags: list[str]
    is_for_all: bool
    enabled: bool
    version: int

    @staticmethod
    def resolve_duration_minutes(row: MaintenanceWindow) -> int:
        return int(row.duration.total_seconds() // 60)

    @staticmethod
    def resolve_monitors(row: MaintenanceWindow) -> list[UUID]:
        return [monitor.pk for monitor in row.monitors.all()]


@router.get("/maintenance-windows", response=list[WindowOut])
@paged
def list_windows(request: TenantRequest) -> QuerySet[MaintenanceWindow]:
    """Your maintenance windows by name."""
    return own(request, MaintenanceWindow).prefetch_related("monitors").order_by("name", "pk")


@router.post("/maintenance-windows", response={201: WindowOut, 404: ErrorOut})
def create_window(request: TenantRequest, body: WindowIn) -> Status[MaintenanceWindow]:
    """Add a window."""
    fields = body.model_dump(exclude={"duration_minutes", "monitors"})
    made = add_maintenance(
        request.tenant,
        duration=timedelta(minutes=body.duration_minutes),
        monitors=[own_or_404(request, Monitor, pk) for pk in body.monitors],
        **fields,
    )
    return Status(201, made)


@router.get("/maintenance-windows/{window_id}", response=WindowOut)
def get_window(request: TenantRequest, window_id: UUID) -> MaintenanceWindow:
    """One window."""
    return own_or_404(request, MaintenanceWindow, window_id)


@router.delete("/maintenance-windows/{window_id}", response={204: None})
def delete_window(request: TenantRequest, window_id: UUID) -> Status[None]:
    """Forget it; if it is open now, it is over."""
    own_or_404(request, MaintenanceWindow, window_id).delete()
    return Status(204, None)
