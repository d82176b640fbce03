"""The tables of the alerts app."""

from __future__ import annotations

from alerts.kinds import RuleKind
from alerts.models.channels import AlertChannel, ChannelType
from alerts.models.incidents import (
    Incident,
    IncidentEvent,
    IncidentEventKind,
    IncidentStatus,
    Resolution,
)
from alerts.models.notifications import DeliveryAttempt, Event, Notification, NotificationState
from alerts.models.rules import AlertRule, Severity
from alerts.models.silences import Silence

__all__ = [
    "AlertChannel",
    "AlertRule",
    "ChannelType",
    "DeliveryAttempt",
    "Event",
    "Incident",
    "IncidentEvent",
    "IncidentEventKind",
    "IncidentStatus",
    "Notification",
    "NotificationState",
    "Resolution",
    "RuleKind",
    "Severity",
    "Silence",
]
