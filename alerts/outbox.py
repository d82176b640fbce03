"""The outbox: what is to be told of an incident, written in the transaction that changes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Max, Q
from django.utils import timezone

from alerts.messages import snapshot
from alerts.models.channels import AlertChannel
from alerts.models.incidents import Incident
from alerts.models.notifications import Event, Notification, NotificationState
from alerts.retry_tables import deliver_by
from hostmaster.core.jobs import doorbells

DRAIN = "notifications"
NOT_TOLD = "Nobody was told of its opening by this channel."


class NotReplayableError(Exception):
    """This notification is still to be delivered, or somebody was first."""


@dataclass(frozen=True)
class _Told:
    """What one channel has of an incident so far."""

    highest_seq: int = 0
    all_suppressed: bool = False


def enqueue(incident: Incident, event: str) -> list[Notification]:
    """Owe `event` of `incident` to each channel of its rule; call it inside the transaction of the
    incident's own change.

    What a silence, a maintenance window or a parent that is down keeps back is written too, as
    suppressed with its reason, so that "why did I get nothing?" has an answer. It is judged again
    when it is sent.
    """
    channels = list(incident.alert_rule.channels.all())
    if not channels:
        return []
    payload, now = snapshot(incident, event), timezone.now()
    told = _told_so_far(incident)
    rows = []
    for channel in channels:
        before = told.get(channel.pk, _Told())
        reason = _reason(incident, event, channel, before)
        row = Notification(
            tenant_id=channel.tenant_id,
            incident=incident,
            channel=channel,
            event=event,
            seq=before.highest_seq + 1,
            payload=payload,
            run_at=now,
            created_at=now,
            deliver_by=deliver_by(channel.type, now),
        )
        if reason:
            row.state, row.suppress_reason = NotificationState.SUPPRESSED, reason
            row.finished_at = now
        rows.append(row)
    Notification.objects.bulk_create(rows)
    if any(row.is_open for row in rows):
        doorbells.ring_drain(DRAIN)
    return rows


def replay(notification: Notification, *, actor: str = "") -> Notification:
    """Deliver it once more, dead, sent or suppressed, with all tries anew and its history kept.

    The receiver gets the same message id. Raises `NotReplayableError`.
    """
    if not notification.replay(actor=actor):
        raise NotReplayableError(str(NotReplayableError.__doc__))
    return notification


def _reason(incident: Incident, event: str, channel: AlertChannel, before: _Told) -> str:
    """Why this channel is not to be told; empty when it is."""
    if not channel.enabled:
        return channel.disabled_reason or "The channel is switched off."
    if event in (Event.OPENED, Event.REMINDER):
        return incident.suppress_reason
    return (incident.suppress_reason or NOT_TOLD) if before.all_suppressed else ""


def _told_so_far(incident: Incident) -> dict[Any, _Told]:
    """By channel. The incident's row is locked by its own change, so nobody takes the same seq."""
    rows = (
        Notification.objects.filter(incident=incident)
        .order_by()
        .values("channel_id")
        .annotate(
            highest=Max("seq"),
            others=Count("pk", filter=~Q(state=NotificationState.SUPPRESSED)),
        )
    )
    return {row["channel_id"]: _Told(row["highest"], row["others"] == 0) for row in rows}
