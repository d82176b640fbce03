"""What doorbells and schedules call."""

from __future__ import annotations

import logging
from uuid import UUID

from alerts.evaluation import evaluate_rules, whole_turn
from alerts.evaluators.types import WHOLE, Scope
from hostmaster.core.jobs.schedules import JobReport

logger = logging.getLogger(__name__)

MONITORS = "monitors.Monitor"


def evaluate(label: str = "", keys: str = "") -> None:
    """What `ALERTS_EVALUATE` calls: at once, for these monitors (their keys, joined by commas) or
    for everything. A narrow evaluation waits for nobody: the constraints decide between two."""
    if label == MONITORS:
        monitor_ids = _keys(keys)
        if monitor_ids:
            evaluate_rules(Scope(monitor_ids))
        return
    with whole_turn() as mine:
        if mine:
            evaluate_rules(WHOLE)


def run_alert_evaluator() -> JobReport:
    """What the schedule runs, under its own lease: all rules of all tenants."""
    with whole_turn() as mine:
        if not mine:
            return JobReport()
        tally = evaluate_rules(WHOLE)
    failed = len(tally.failed)
    return JobReport(processed=tally.rules, succeeded=tally.rules, failed=failed)


def _keys(text: str) -> frozenset[UUID]:
    found = set()
    for key in filter(None, (part.strip() for part in text.split(","))):
        try:
            found.add(UUID(key))
        except ValueError:
            logger.warning("rung for something that is no monitor's key: %r", key[:40])
    return frozenset(found)
