"""`cost_budget`: a month passed a threshold of its budget. `cost_anomaly`: a day cost too much."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from alerts.evaluators.types import Finding, Judgement, Scope
from alerts.models import AlertRule
from scans.models import BreachKind, BudgetBreach, CostAnomaly


def judge_budgets(rule: AlertRule, breaches: Iterable[BudgetBreach]) -> list[Finding]:
    """Each threshold that is passed is told by itself, once a month."""
    threshold = rule.settings.threshold
    return [
        _breach_finding(rule, breach)
        for breach in breaches
        if breach.tenant_id == rule.tenant_id
        and breach.budget.is_enabled
        and breach.threshold >= threshold
        and rule.account_id in (None, breach.budget.account_id)
    ]


def judge_anomalies(
    rule: AlertRule, anomalies: Iterable[CostAnomaly], at: datetime
) -> list[Finding]:
    """A day stays news for some days; one that a later revision of the costs withdrew is over."""
    settings = rule.settings
    oldest = (at - timedelta(days=settings.count("days"))).date()
    return [
        _anomaly_finding(rule, anomaly)
        for anomaly in anomalies
        if anomaly.tenant_id == rule.tenant_id
        and anomaly.date >= oldest
        and anomaly.excess_usd >= Decimal(str(settings.threshold))
        and rule.account_id in (None, anomaly.account_id)
    ]


def evaluate_budgets(rules: Sequence[AlertRule], scope: Scope, at: datetime) -> Judgement:
    """One query."""
    tenants = {rule.tenant_id for rule in rules}
    standing = BudgetBreach.objects.standing().filter(budget__is_enabled=True)
    breaches = [b for b in standing.select_related("budget") if b.tenant_id in tenants]
    return Judgement(firing=[f for rule in rules for f in judge_budgets(rule, breaches)])


def evaluate_anomalies(rules: Sequence[AlertRule], scope: Scope, at: datetime) -> Judgement:
    """One query."""
    tenants = {rule.tenant_id for rule in rules}
    days = max((rule.settings.count("days") for rule in rules), default=1)
    recent = CostAnomaly.objects.standing().filter(date__gte=(at - timedelta(days=days)).date())
    anomalies = [a for a in recent.select_related("account") if a.tenant_id in tenants]
    return Judgement(firing=[f for rule in rules for f in judge_anomalies(rule, anomalies, at)])


def _breach_finding(rule: AlertRule, breach: BudgetBreach) -> Finding:
    is_forecast = breach.kind == BreachKind.FORECAST
    share = breach.value_usd / breach.limit_usd * 100 if breach.limit_usd else Decimal(0)
    verb = "will have cost" if is_forecast else "has cost"
    return Finding(
        rule=rule,
        subject=f"budget:{breach.budget_id}:{breach.kind}:{breach.threshold}:{breach.period}",
        title=f"Budget {breach.budget.name}: {breach.threshold} % "
        f"{'forecast' if is_forecast else 'spent'}"[:300],
        trigger_value=f"{breach.period:%B %Y} {verb} {breach.value_usd:.2f} USD, "
        f"{share:.0f} % of {breach.limit_usd:.2f} USD",
        began_at=breach.found_at,
        seen_at=breach.found_at,
    )


def _anomaly_finding(rule: AlertRule, anomaly: CostAnomaly) -> Finding:
    return Finding(
        rule=rule,
        subject=f"anomaly:{anomaly.account_id}:{anomaly.date}",
        title=f"Unusual cost of {anomaly.account} on {anomaly.date}"[:300],
        trigger_value=f"{anomaly.actual_usd:.2f} USD instead of {anomaly.expected_usd:.2f} USD, "
        f"most of it {anomaly.service}",
        began_at=anomaly.first_seen_at,
        seen_at=anomaly.first_seen_at,
    )
