"""The verb that tells a tenant's pages of a change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hostmaster.core.live.models import LiveEvent
from hostmaster.core.tenants.models import Tenant


def publish(tenant: Tenant | Any, topic: str, data: Mapping[str, Any]) -> LiveEvent:
    """Tell the open pages of `tenant` (a row or its key) once this transaction commits.

    `data` is JSON and holds no secret: every viewer of the tenant sees it.
    """
    tenant_id = tenant.pk if isinstance(tenant, Tenant) else tenant
    return LiveEvent.objects.create(tenant_id=tenant_id, topic=topic, data=dict(data))
