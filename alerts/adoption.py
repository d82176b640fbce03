"""Incidents that other programs wrote, by plain SQL or the ORM: from here on they are ours."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import connection

from alerts import incidents
from alerts.models import Incident

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
    if not Incident.objects.unannounced().exists():
        return 0
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(_SPELL_ALIKE)
    rows = Incident.objects.unannounced().select_related("alert_rule", "monitor")
    return sum(_adopt(incident, at) for incident in rows[:AT_ONCE])


def _adopt(incident: Incident, at: datetime) -> bool:
    try:
        return incidents.adopt(incident, at)
    except Exception:  # what others wrote must not stop what is ours
        logger.exception("incident %s of another program cannot be adopted", incident.pk)
        return False
