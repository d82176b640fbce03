"""Verbs on monitors, for every other part of the product."""

from __future__ import annotations

from monitors.editing import (
    MonitorChangedError,
    add_monitor,
    check_now,
    edit_monitor,
    headers_of,
    parents_down,
    pause,
    remove_monitor,
    resume,
)
from monitors.latency import Percentiles, latency_percentiles
from monitors.maintenance import (
    MaintenanceChangedError,
    add_maintenance,
    check_window,
    edit_maintenance,
    is_in_maintenance,
    maintenance_of,
)
from monitors.pushes import UnknownPushTokenError, record_push
from monitors.tokens import renew_push_token
from monitors.uptime import Uptime, uptime

__all__ = [
    "MaintenanceChangedError",
    "MonitorChangedError",
    "Percentiles",
    "UnknownPushTokenError",
    "Uptime",
    "add_maintenance",
    "add_monitor",
    "check_now",
    "check_window",
    "edit_maintenance",
    "edit_monitor",
    "headers_of",
    "is_in_maintenance",
    "latency_percentiles",
    "maintenance_of",
    "parents_down",
    "pause",
    "record_push",
    "remove_monitor",
    "renew_push_token",
    "resume",
    "uptime",
]
