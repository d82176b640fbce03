"""The tables of the scans app."""

from __future__ import annotations

from scans.models.accounts import Account, AccountStatus
from scans.models.inventory import Instance, InventoryItem, Resource
from scans.models.jobs import ScanJob, ScanKind, ScanState, ScanUnit, UnitOutcome
from scans.models.metrics import MetricSummary
from scans.models.recommendations import (
    Confidence,
    Effort,
    Recommendation,
    RecommendationStatus,
)
from scans.models.rule_settings import RuleSetting

__all__ = [
    "Account",
    "AccountStatus",
    "Confidence",
    "Effort",
    "Instance",
    "InventoryItem",
    "MetricSummary",
    "Recommendation",
    "RecommendationStatus",
    "Resource",
    "RuleSetting",
    "ScanJob",
    "ScanKind",
    "ScanState",
    "ScanUnit",
    "UnitOutcome",
]
