"""What tests of the outbox do again and again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from alerts import delivery
from alerts.channels import add_channel
from alerts.models import AlertChannel, Incident, Notification
from hostmaster.core.clock import DatabaseNow, database_now
from hostmaster.core.jobs.drains import Turn
from tests.alerts.receiver import Receiver
from tests.factories import make_incident, make_rule, make_tenant


def make_webhook(receiver: Receiver, **overrides: Any) -> AlertChannel:
    fields: dict[str, Any] = {
        "name": "hook",
        "type": "webhook",
        "config": {"url": receiver.url()},
        "is_grouped": False,
    }
    tenant = overrides.pop("tenant", None) or make_tenant()
    return add_channel(tenant, **{**fields, **overrides})


def make_told_incident(*channels: AlertChannel, **overrides: Any) -> Incident:
    """An incident whose rule leads to `channels`; nothing is owed yet."""
    rule = make_rule(tenant=channels[0].tenant, channels=channels)
    return make_incident(alert_rule=rule, **overrides)


def deliver(seconds: float = 10.0) -> int:
    """What is due now, as a worker would."""
    return delivery.drain(Turn(seconds))


def pass_time(**amount: float) -> None:
    """Let so much time pass for everything that waits: its instants move into the past."""
    by = timedelta(**amount)
    for row in Notification.objects.all():
        moved: dict[str, Any] = {"run_at": row.run_at - by, "created_at": row.created_at - by}
        if row.deliver_by is not None:
            moved["deliver_by"] = row.deliver_by - by
        Notification.objects.filter(pk=row.pk).update(**moved)
    for channel in AlertChannel.objects.all():
        moved = {
            "next_send_at": channel.next_send_at - by,
            "recent_sends": [at - by.total_seconds() for at in channel.recent_sends],
        }
        if channel.failing_since is not None:
            moved["failing_since"] = channel.failing_since - by
        AlertChannel.objects.filter(pk=channel.pk).update(**moved)


def come_due() -> None:
    """All that waits is due now, breakers and limits apart."""
    Notification.objects.filter(state=Notification.State.PENDING).update(run_at=DatabaseNow())


def lose_worker(row: Notification) -> None:
    """Its lease is over, and nobody renewed it."""
    Notification.objects.filter(pk=row.pk).update(lease_until=database_now(-timedelta(seconds=1)))


def states(*rows: Notification) -> list[str]:
    found = Notification.objects.in_bulk([row.pk for row in rows])
    return [str(found[row.pk].state) for row in rows]
