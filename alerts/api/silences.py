"""Silences: times in which nobody is told."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.utils import timezone
from ninja import Field, Query, Router, Schema, Status
from pydantic import ConfigDict

from alerts.models import AlertRule, Silence
from alerts.services import end_silence, silence
from hostmaster.core.web.errors import ConflictError, ErrorOut
from hostmaster.core.web.fields import EXAMPLE_ID, Input, Instant
from hostmaster.core.web.paging import paged
from hostmaster.core.web.scoping import own, own_or_404
from hostmaster.core.web.tenancy import TenantRequest
from monitors.models import Monitor

router = Router(tags=["alerts"])

Tags = Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=50)]


class SilenceIn(Input):
    """Nothing named: everything of the tenant. What is named must all match."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"reason": "Moving the database", "until": "2030-01-01T06:00:00Z"}]
        },
    )

    reason: str = Field(min_length=1, max_length=500)
    until: Instant
    starts_at: Instant | None = Field(None, description="null: now.")
    monitor: UUID | None = None
    rule: UUID | None = None
    tags: Tags = Field([], description="Monitors that bear one of them.")


class SilenceOut(Schema):
    id: UUID = Field(examples=[EXAMPLE_ID])
    reason: str
    starts_at: datetime
    until: datetime
    ended_at: datetime | None = Field(description="When a person ended it early.")
    monitor: UUID | None
    rule: UUID | None
    tags: list[str]
    created_at: datetime
    version: int

    @staticmethod
    def resolve_monitor(row: Silence) -> UUID | None:
        return row.monitor_id

    @staticmethod
    def resolve_rule(row: Silence) -> UUID | None:
        return row.rule_id


class SilenceFilters(Schema):
    active: bool | None = Field(None, description="true: only those that hold now.")


@router.get("/silences", response=list[SilenceOut])
@paged
def list_silences(request: TenantRequest, filters: Query[SilenceFilters]) -> QuerySet[Silence]:
    """Your silences, the latest first."""
    silences = Silence.objects.filter(tenant=request.tenant)
    if filters.active is not None:
        active = silences.active(timezone.now())
        silences = active if filters.active else silences.exclude(pk__in=active.values("pk"))
    return silences.order_by("-created_at", "pk")


@router.post("/silences", response={201: SilenceOut, 404: ErrorOut})
def create_silence(request: TenantRequest, body: SilenceIn) -> Status[Silence]:
    """Tell nobody until then. What still is open afterwards is told then."""
    made = silence(
        request.tenant,
        reason=body.reason,
        until=body.until,
        starts_at=body.starts_at,
        monitor=own_or_404(request, Monitor, body.monitor) if body.monitor else None,
        rule=own_or_404(request, AlertRule, body.rule) if body.rule else None,
        tags=body.tags,
        user=request.user if isinstance(request.user, User) else None,
    )
    return Status(201, made)


@router.get("/silences/{silence_id}", response=SilenceOut)
def get_silence(request: TenantRequest, silence_id: UUID) -> Silence:
    """One silence."""
    return own_or_404(request, Silence, silence_id)


@router.post("/silences/{silence_id}/end", response={200: SilenceOut, 409: ErrorOut})
def stop_silence(request: TenantRequest, silence_id: UUID) -> Silence:
    """End it now; what still is open is told. 409 when it is over."""
    found = own_or_404(request, Silence, silence_id)
    if not end_silence(found):
        raise ConflictError("This silence is over already.")
    return found


@router.delete("/silences/{silence_id}", response={204: None})
def delete_silence(request: TenantRequest, silence_id: UUID) -> Status[None]:
    """End it, if it holds, and forget it."""
    found = own_or_404(request, Silence, silence_id)
    end_silence(found)
    own(request, Silence).filter(pk=found.pk).delete()
    return Status(204, None)
