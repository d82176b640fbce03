"""The tables of the scans app."""

from __future__ import annotations

from scans.models.accounts import Account, AccountStatus
from scans.models.inventory import Instance, InventoryItem, Resource
from scans.models.jobs import ScanJob, ScanKind, ScanState, ScanUnit, UnitOutcome
from scans.models.metrics import MetricSummary
from scans.models.recommendations import Confidence, Recommendation, RecommendationStatus

__all__ = [
    "Account",
    "AccountStatus",
    "Confidence",
    "Instance",
    "InventoryItem",
    "MetricSummary",
    "Recommendation",
    "RecommendationStatus",
    "Resource",
    "ScanJob",
    "ScanKind",
    "ScanState",
    "ScanUnit",
    "UnitOutcome",
]
