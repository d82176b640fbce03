"""Notifications: who was told what, try by try, and why somebody was not."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from ninja import Field, Query, Router, Schema, Status

from alerts.models import DeliveryAttempt, Event, Notification, NotificationState
from hostmaster.core.web.errors import ConflictError, ErrorOut
from hostmaster.core.web.fields import EXAMPLE_ID
from hostmaster.core.web.paging import paged
from hostmaster.core.web.scoping import own, own_or_404
from hostmaster.core.web.tenancy import TenantRequest

router = Router(tags=["alerts"])


class NotificationOut(Schema):
    """What one channel is owed, or why it is not."""

    id: UUID = Field(examples=[EXAMPLE_ID])
    incident: UUID
    channel: UUID
    event: Event
    state: NotificationState
    suppress_reason: str = Field(description="Why it is not sent.")
    digest: UUID | None = Field(description="The notification whose message told this one too.")
    attempts: int
    run_at: datetime = Field(description="Not tried before.")
    deliver_by: datetime | None = Field(description="Not tried after.")
    created_at: datetime
    finished_at: datetime | None

    @staticmethod
    def resolve_incident(row: Notification) -> UUID:
        return row.incident_id

    @staticmethod
    def resolve_channel(row: Notification) -> UUID:
        return row.channel_id

    @staticmethod
    def resolve_digest(row: Notification) -> UUID | None:
        return row.digest_id


class AttemptOut(Schema):
    """One try to deliver it."""

    no: int
    started_at: datetime
    ms: int | None
    status_code: int | None
    ok: bool
    error_class: str
    error: str
    reply: str = Field(description="At most 1 KiB of the answer, secrets masked.")


class NotificationFilters(Schema):
    incident: UUID | None = None
    channel: UUID | None = None
    state: NotificationState | None = None
    event: Event | None = None


@router.get("/notifications", response=list[NotificationOut])
@paged
def list_notifications(
    request: TenantRequest, filters: Query[NotificationFilters]
) -> QuerySet[Notification]:
    """Your notifications, the latest first."""
    wanted: dict[str, Any] = filters.model_dump(exclude_none=True)
    return own(request, Notification).filter(**wanted).order_by("-created_at", "pk")


@router.get("/notifications/{notification_id}", response=NotificationOut)
def get_notification(request: TenantRequest, notification_id: UUID) -> Notification:
    """One notification."""
    return own_or_404(request, Notification, notification_id)


@router.get("/notifications/{notification_id}/attempts", response=list[AttemptOut])
@paged
def list_attempts(request: TenantRequest, notification_id: UUID) -> QuerySet[DeliveryAttempt]:
    """Each try to deliver it, the first first."""
    notification = own_or_404(request, Notification, notification_id)
    return notification.deliveries.order_by("started_at", "pk")


@router.post(
    "/notifications/{notification_id}/replay", response={202: NotificationOut, 409: ErrorOut}
)
def replay_notification(request: TenantRequest, notification_id: UUID) -> Status[Notification]:
    """Deliver it once more, whatever became of it, silences ignored. 409 while it is under way."""
    notification = own_or_404(request, Notification, notification_id)
    if not notification.replay(actor=request.actor):
        raise ConflictError("It is under way.")
    return Status(202, notification)
