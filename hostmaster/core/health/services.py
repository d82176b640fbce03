"""Write the system log."""

from __future__ import annotations

from hostmaster.core.health.models import SystemLog
from hostmaster.core.logs import mask, masked_value

LONGEST_MESSAGE = 4000


def record(component: str, level: str, message: str, **context: object) -> SystemLog:
    """Add an entry to the system log, secrets masked. Raises `ValueError` for an unknown level."""
    return SystemLog.objects.create(
        component=component,
        level=SystemLog.Level(level),
        # PostgreSQL refuses the zero byte, which the last words of a process may hold.
        message=mask(message)[:LONGEST_MESSAGE],
        context=masked_value(context),
    )
