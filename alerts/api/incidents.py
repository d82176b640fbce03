"""Incidents: what went wrong, who is at it, who was told."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet
from ninja import Field, Query, Router, Schema, Status
from pydantic import ConfigDict

from alerts.models import Incident, IncidentEvent, IncidentEventKind, IncidentStatus, Resolution
from alerts.services import IncidentResolvedError, acknowledge, add_note, resolve
from hostmaster.core.web.errors import ConflictError, ErrorOut
from hostmaster.core.web.fields import EXAMPLE_ID, Input, Instant
from hostmaster.core.web.paging import paged
from hostmaster.core.web.scoping import own, own_or_404
from hostmaster.core.web.tenancy import TenantRequest

router = Router(tags=["alerts"])

Note = Annotated[str, Field(max_length=5000, examples=["Deploy rolled back."])]


class NoteIn(Input):
    """What to write into the timeline."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"note": "Deploy rolled back."}]}
    )

    note: Note = Field(min_length=1)


class DecisionIn(Input):
    """A person's word, with or without a note."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"note": "Mine."}]})

    note: Note = ""


class IncidentOut(Schema):
    id: UUID = Field(examples=[EXAMPLE_ID])
    title: str
    status: IncidentStatus
    severity: str
    monitor: UUID | None
    alert_rule: UUID
    subject: str = Field(description="What it is about, as its rule tells things apart.")
    trigger_value: str | None = Field(description="What the rule saw.")
    started_at: datetime
    resolved_at: datetime | None
    resolution: Resolution | None = Field(description="How it ended; null: it has not.")
    acknowledged_at: datetime | None
    notified_at: datetime | None = Field(description="When the first channel was told.")
    suppress_reason: str = Field(description="Why nobody is told; empty: they are.")
    note: str
    created_at: datetime
    version: int

    @staticmethod
    def resolve_monitor(row: Incident) -> UUID | None:
        return row.monitor_id

    @staticmethod
    def resolve_alert_rule(row: Incident) -> UUID:
        return row.alert_rule_id

    @staticmethod
    def resolve_resolution(row: Incident) -> str | None:
        return row.resolution or None


class IncidentEventOut(Schema):
    """One line of the timeline."""

    kind: IncidentEventKind
    actor: str
    note: str
    at: datetime


class IncidentFilters(Schema):
    status: IncidentStatus | None = None
    monitor: UUID | None = None
    alert_rule: UUID | None = None
    severity: str | None = Field(None, max_length=10)
    since: Instant | None = Field(None, description="Started then or later.")
    until: Instant | None = Field(None, description="Started before.")


@router.get("/incidents", response=list[IncidentOut])
@paged
def list_incidents(request: TenantRequest, filters: Query[IncidentFilters]) -> QuerySet[Incident]:
    """Your incidents, the latest first."""
    wanted: dict[str, Any] = filters.model_dump(exclude_none=True)
    incidents = own(request, Incident)
    if since := wanted.pop("since", None):
        incidents = incidents.filter(started_at__gte=since)
    if until := wanted.pop("until", None):
        incidents = incidents.filter(started_at__lt=until)
    return incidents.filter(**wanted).order_by("-started_at", "pk")


@router.get("/incidents/{incident_id}", response=IncidentOut)
def get_incident(request: TenantRequest, incident_id: UUID) -> Incident:
    """One incident."""
    return own_or_404(request, Incident, incident_id)


@router.get("/incidents/{incident_id}/events", response=list[IncidentEventOut])
@paged
def list_events(request: TenantRequest, incident_id: UUID) -> QuerySet[IncidentEvent]:
    """Its timeline, the first line first."""
    incident = own_or_404(request, Incident, incident_id)
    return incident.events.order_by("at", "pk")


@router.post("/incidents/{incident_id}/acknowledge", response={200: IncidentOut, 409: ErrorOut})
def acknowledge_incident(request: TenantRequest, incident_id: UUID, body: DecisionIn) -> Incident:
    """Say that somebody is at it: reminders end. 409 when it is resolved."""
    incident = own_or_404(request, Incident, incident_id)
    try:
        return acknowledge(incident, _user(request), body.note, actor=request.actor)
    except IncidentResolvedError as error:
        raise ConflictError(str(error)) from error


@router.post("/incidents/{incident_id}/resolve", response={200: IncidentOut, 409: ErrorOut})
def resolve_incident(request: TenantRequest, incident_id: UUID, body: DecisionIn) -> Incident:
    """End it. It opens anew when its condition is seen to hold after that. 409 when it is over."""
    incident = own_or_404(request, Incident, incident_id)
    try:
        return resolve(incident, _user(request), body.note, actor=request.actor)
    except IncidentResolvedError as error:
        raise ConflictError(str(error)) from error


@router.post("/incidents/{incident_id}/notes", response={201: IncidentEventOut})
def note_incident(request: TenantRequest, incident_id: UUID, body: NoteIn) -> Status[IncidentEvent]:
    """Write a line into its timeline, at any time."""
    incident = own_or_404(request, Incident, incident_id)
    return Status(201, add_note(incident, _user(request), body.note, actor=request.actor))


def _user(request: TenantRequest) -> User | None:
    """Who signed in; nobody behind a token."""
    user = request.user
    return user if isinstance(user, User) else None
