"""The outbox: what is to be told of an incident, written in the transaction that changes it."""

from __future__ import annotations

from typing import Any

from django.db.models import Max
from django.utils import timezone

from alerts.messages import snapshot
from alerts.models.channels import AlertChannel
from alerts.models.notifications import Notification
from alerts.retry_tables import deliver_by


def enqueue(incident: Any, event: str) -> list[Notification]:
    """Owe `event` of `incident` to each channel of its rule; call it inside the transaction of the
    incident's own change.

    What a silence, a maintenance window or a parent that is down keeps back is written too, as
    suppressed with its reason, so that "why did I get nothing?" has an answer.
    """
    channels = list(incident.alert_rule.channels.all())
    if not channels:
        return []
    told = snapshot(incident, event)
    next_seq = _next_seqs(incident)
    now = timezone.now()
    rows = [
        Notification(
            tenant_id=channel.tenant_id,
            incident=incident,
            channel=channel,
            event=event,
            seq=next_seq.get(channel.pk, 1),
            payload=told,
            run_at=now,
            created_at=now,
            deliver_by=deliver_by(channel.type, now),
            **_suppression(channel),
        )
        for channel in channels
    ]
    return Notification.objects.bulk_create(rows)


def _suppression(channel: AlertChannel) -> dict[str, Any]:
    if channel.enabled:
        return {}
    reason = channel.disabled_reason or "The channel is switched off."
    return {
        "state": Notification.State.SUPPRESSED,
        "suppress_reason": reason,
        "finished_at": timezone.now(),
    }


def _next_seqs(incident: Any) -> dict[Any, int]:
    """By channel. The incident's row is locked by its guarded write, so nobody takes the same."""
    highest = (
        Notification.objects.filter(incident=incident)
        .order_by()
        .values("channel_id")
        .annotate(highest=Max("seq"))
    )
    return {row["channel_id"]: row["highest"] + 1 for row in highest}
