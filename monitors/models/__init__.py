"""The rows of the monitors app."""

from __future__ import annotations

from monitors.models.checks import MonitorCheck, SetAsideCheck
from monitors.models.intervals import MonitorStateInterval
from monitors.models.maintenance import MaintenanceWindow
from monitors.models.monitors import Monitor, MonitorKind, MonitorStatus
from monitors.models.rollups import MonitorRollup, RollupPeriod
from monitors.models.runs import MonitorRun

__all__ = [
    "MaintenanceWindow",
    "Monitor",
    "MonitorCheck",
    "MonitorKind",
    "MonitorRollup",
    "MonitorRun",
    "MonitorStateInterval",
    "MonitorStatus",
    "RollupPeriod",
    "SetAsideCheck",
]
