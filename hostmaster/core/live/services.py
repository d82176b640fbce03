"""The verb that tells a tenant's pages of a change, and what a page missed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from hostmaster.core.live.models import LiveEvent
from hostmaster.core.tenants.models import Tenant

CHANNEL = "hostmaster_live"

# Keys are drawn in order but commit in any. Whoever reads on looks back that far for latecomers.
OVERLAP = timedelta(seconds=10)


def publish(tenant: Tenant | UUID, topic: str, data: Mapping[str, Any]) -> LiveEvent:
    """Tell the open pages of `tenant` (a row or its key) once this transaction commits.

    `data` is JSON and holds no secret: every viewer of the tenant sees it.
    """
    return publish_many([(tenant, topic, data)])[0]


def publish_many(
    events: Iterable[tuple[Tenant | UUID, str, Mapping[str, Any]]],
) -> Sequence[LiveEvent]:
    """As `publish`, for a batch: one INSERT."""
    rows = LiveEvent.objects.bulk_create(
        LiveEvent(
            tenant_id=tenant.pk if isinstance(tenant, Tenant) else tenant,
            topic=topic,
            data=dict(data),
        )
        for tenant, topic, data in events
    )
    if rows:
        _notify()
    return rows


def missed_since(tenant_id: UUID, event_id: int, limit: int) -> list[LiveEvent] | None:
    """What a page of `tenant_id` may have missed after `event_id`, the oldest first; some of it
    twice, for keys commit in any order. `None`: too long ago or too much, it must load anew."""
    events = LiveEvent.objects.filter(tenant_id=tenant_id)
    last = events.filter(pk=event_id).first()
    if last is None:
        return None
    after = events.filter(at__gte=last.at - OVERLAP).exclude(pk=event_id)
    found = list(after.order_by("pk")[: limit + 1])
    return found if len(found) <= limit else None


def _notify() -> None:
    """Wake the hubs of all web processes at the commit. SQLite has no such thing: they look."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
