"""Rows that are kept for a time: each app says which and how long in its `registry.py`."""

from __future__ import annotations

from django.apps import apps
from django.utils import timezone

from hostmaster.core.jobs.schedules import JobReport
from hostmaster.core.registry import Retention, get_registry

BATCH = 1000  # short transactions: SQLite has one writer, and it is needed elsewhere


def prune() -> JobReport:
    """Delete what every app's retention rules let go. The report counts rows."""
    deleted = sum(prune_one(rule) for rule in get_registry().retention)
    return JobReport(processed=deleted, succeeded=deleted)


def prune_one(rule: Retention) -> int:
    """Delete the rows one rule lets go; answers how many."""
    rows = apps.get_model(rule.model)._base_manager.filter(
        **{f"{rule.instant}__lt": timezone.now() - rule.keep, **rule.only}
    )
    deleted = 0
    while pks := list(rows.order_by(rule.instant).values_list("pk", flat=True)[:BATCH]):
        deleted += rows.filter(pk__in=pks).delete()[0]
    return deleted
