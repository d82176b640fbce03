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
from monitors.tokens import renew_push_token

__all__ = [
    "MonitorChangedError",
    "add_monitor",
    "check_now",
    "edit_monitor",
    "headers_of",
    "parents_down",
    "pause",
    "remove_monitor",
    "renew_push_token",
    "resume",
]
