"""Incidents that other programs wrote, by plain SQL or the ORM: from here on they are ours."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import connection

from alerts import incidents
from alerts.models import Incident
from alerts.models.incidents import IncidentQuerySet

logger = logging.getLogger(__name__)

AT_ONCE = 500

# SQLite has no UUIDs: Django writes and looks for 32 digits, other programs write dashes too. Spelt
# otherwise, a second open incident passes the constraints; OR IGNORE leaves it as it is.
_SPELL_ALIKE = (
    "UPDATE OR IGNORE incidents SET id = LOWER(REPLACE(id, '-', '')), "
    "monitor_id = LOWER(REPLACE(monitor_id, '-', '')), "
    "alert_rule_id = LOWER(REPLACE(alert_rule_id, '-', '')) "
    "WHERE announced_at IS NULL AND (id || COALESCE(monitor_id, '') || alert_rule_id) "
    "GLOB '*[-A-F]*'"
)


def adopt_foreign(at: datetime) -> int:
    """Adopt what nobody was told of yet; answers how many were new to us."""
    unannounced = Incident.objects.unannounced()
    if connection.vendor == "sqlite" and unannounced.exists():
        with connection.cursor() as cursor:
            cursor.execute(_SPELL_ALIKE)
    return _adopt(unannounced, partial(incidents.adopt, at=at))


def adopt_ends() -> int:
    """Adopt what an UPDATE of another program ended; answers how many."""
    return _adopt(Incident.objects.ended_by_others(), incidents.adopt_end)


def adopt_acknowledgements() -> int:
    """Adopt what an UPDATE of another program acknowledged; answers how many."""
    rows = Incident.objects.acknowledged_by_others()
    return _adopt(rows, incidents.adopt_acknowledgement)


def _adopt(rows: IncidentQuerySet, adopt: Callable[[Incident], bool]) -> int:
    return sum(_tried(adopt, incident) for incident in _readable(rows))


def _tried(adopt: Callable[[Incident], bool], incident: Incident) -> bool:
    try:
        return adopt(incident)
    except Exception:  # what others wrote must not stop what is ours
        logger.exception("incident %s of another program cannot be adopted", incident.pk)
        return False


def _readable(rows: IncidentQuerySet) -> list[Incident]:
    """Some of `rows`. What cannot be read, such as a date that is none, hides no other."""
    related = rows.order_by().select_related("alert_rule", "monitor")
    try:
        return list(related[:AT_ONCE])
    except Exception:  # noqa: BLE001 whatever a driver makes of it; told below, row by row
        keys = list(rows.order_by().values_list("pk", flat=True)[:AT_ONCE])
    found = [_read(related, key) for key in keys]
    return [incident for incident in found if incident is not None]


def _read(rows: IncidentQuerySet, key: UUID) -> Incident | None:
    try:
        return rows.filter(pk=key).first()
    except Exception:  # what others wrote must not stop what is ours
        logger.exception("incident %s of another program cannot be read", key)
        return None
