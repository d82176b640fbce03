"""The tables of the scans app."""

from __future__ import annotations

from scans.models.accounts import Account, AccountStatus
from scans.models.budgets import BreachKind, Budget, BudgetBreach
from scans.models.costs import (
    AnomalySource,
    Commitment,
    CommitmentCoverage,
    CommitmentKind,
    CostAnomaly,
    CostFetch,
    CostForecast,
    CostMetric,
    CostRecord,
    ForecastBasis,
)
from scans.models.inventory import Instance, InventoryItem, Resource
from scans.models.jobs import ScanJob, ScanKind, ScanState, ScanUnit, UnitOutcome
from scans.models.metrics import MetricSummary
from scans.models.prices import PriceFetch, PriceItem
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
    "AnomalySource",
    "BreachKind",
    "Budget",
    "BudgetBreach",
    "Commitment",
    "CommitmentCoverage",
    "CommitmentKind",
    "Confidence",
    "CostAnomaly",
    "CostFetch",
    "CostForecast",
    "CostMetric",
    "CostRecord",
    "Effort",
    "ForecastBasis",
    "Instance",
    "InventoryItem",
    "MetricSummary",
    "PriceFetch",
    "PriceItem",
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
