"""What follows from changes of other apps' rows, connected in `AlertsConfig.ready()`."""

from __future__ import annotations

from typing import Any

from django.db.models import Model, QuerySet

from alerts import incidents
from alerts.models import Incident, Resolution
from alerts.rules import add_default_rules
from hostmaster.core.tenants.models import Tenant
from monitors.models import Monitor


def give_default_rules(
    sender: type[Tenant], instance: Tenant, created: bool, raw: bool = False, **_: Any
) -> None:
    """A new tenant watches the product itself. Not when a fixture is loaded: it has its own."""
    if created and not raw:
        add_default_rules(instance)


def end_incidents_of_monitor(
    sender: type[Monitor], instance: Monitor, origin: Model | QuerySet[Any], **_: Any
) -> None:
    """A monitor that is deleted can neither fail nor recover. With its tenant all goes anyway."""
    deleted = origin.model if isinstance(origin, QuerySet) else type(origin)
    if deleted is not Monitor:
        return
    rows = Incident.objects.unresolved().filter(monitor=instance)
    listed = list(rows.select_related("alert_rule", "monitor"))
    incidents.resolve_incidents((incident, Resolution.MONITOR_REMOVED) for incident in listed)
