"""The outbox: what is to be told of an incident, written in the transaction that changes it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Max, Q
from django.utils import timezone

from alerts.messages import snapshot
from alerts.models.channels import AlertChannel
from alerts.models.incidents import Incident
from alerts.models.notifications import Event, Notification, NotificationState
from alerts.models.rules import AlertRule
from alerts.retry_tables import deliver_by
from hostmaster.core.jobs import doorbells

DRAIN = "notifications"
CHUNK = 500
NOT_TOLD = "Nobody was told of its opening by this channel."
TOLD_BEFORE = "This channel was told of its opening before."


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
    return enqueue_all([incident], event)


def enqueue_all(incidents: Sequence[Incident], event: str) -> list[Notification]:
    """As `enqueue`, for many in a few queries: a storm opens thousands."""
    channels = _channels({incident.alert_rule_id for incident in incidents})
    told = _told_so_far([i.pk for i in incidents if i.alert_rule_id in channels])
    rows = [
        _owed(incident, event, channel, told.get((incident.pk, channel.pk), _Told()))
        for incident in incidents
        for channel in channels.get(incident.alert_rule_id, ())
    ]
    for start in range(0, len(rows), CHUNK):
        Notification.objects.bulk_create(rows[start : start + CHUNK])
    if any(row.is_open for row in rows):
        doorbells.ring_drain(DRAIN)
    return rows


def _channels(rules: Collection[Any]) -> dict[Any, list[AlertChannel]]:
    """Of each rule that has some."""
    through = AlertRule.channels.through.objects.filter(alertrule_id__in=rules)
    links = list(through.values_list("alertrule_id", "alertchannel_id"))
    found = AlertChannel.objects.in_bulk({channel for _, channel in links}) if links else {}
    channels: dict[Any, list[AlertChannel]] = {}
    for rule, channel in links:
        channels.setdefault(rule, []).append(found[channel])
    return channels


def _owed(incident: Incident, event: str, channel: AlertChannel, before: _Told) -> Notification:
    now = timezone.now()
    row = Notification(
        tenant_id=channel.tenant_id,
        incident=incident,
        channel=channel,
        event=event,
        seq=before.highest_seq + 1,
        payload=snapshot(incident, event),
        run_at=now,
        created_at=now,
        deliver_by=deliver_by(channel.type, now),
    )
    if reason := _reason(incident, event, channel, before):
        row.state, row.suppress_reason = NotificationState.SUPPRESSED, reason
        row.finished_at = now
    return row


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
    if event == Event.OPENED and before.highest_seq and not before.all_suppressed:
        return TOLD_BEFORE  # what kept it from other channels is over
    if event in (Event.OPENED, Event.REMINDER):
        return incident.suppress_reason
    return (incident.suppress_reason or NOT_TOLD) if before.all_suppressed else ""


def _told_so_far(incidents: Sequence[Any]) -> dict[tuple[Any, Any], _Told]:
    """By incident and channel. The incident's row is locked by its own change, so nobody takes the
    same seq."""
    found: dict[tuple[Any, Any], _Told] = {}
    for start in range(0, len(incidents), CHUNK):
        rows = (
            Notification.objects.filter(incident__in=incidents[start : start + CHUNK])
            .order_by()
            .values("incident_id", "channel_id")
            .annotate(
                highest=Max("seq"),
                others=Count("pk", filter=~Q(state=NotificationState.SUPPRESSED)),
            )
        )
        for row in rows:
            key = row["incident_id"], row["channel_id"]
            found[key] = _Told(row["highest"], row["others"] == 0)
    return found
