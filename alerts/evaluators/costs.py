"""`cost_budget`: a month passed a threshold of its budget. `cost_anomaly`: a day cost too much."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from alerts.evaluators.types import Finding, Judgement, Scope
from alerts.models import AlertRule, RuleKind
from scans.models import BreachKind, BudgetBreach, CostAnomaly

Row = TypeVar("Row", BudgetBreach, CostAnomaly)


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
    """A day is news for some days after it was found; one that a later revision of the costs
    withdrew is over.

    Counted from when it was found: Cost Explorer settles a day two days later, and a scan may be
    late. What the first scan of an account finds in the weeks before it was added is no news.
    """
    settings = rule.settings
    days = timedelta(days=settings.count("days"))
    least = Decimal(str(settings.threshold))
    return [
        _anomaly_finding(rule, anomaly)
        for anomaly in anomalies
        if anomaly.tenant_id == rule.tenant_id
        and anomaly.first_seen_at >= at - days
        and anomaly.date >= (anomaly.account.created_at - days).date()
        and anomaly.excess_usd >= least
        and rule.account_id in (None, anomaly.account_id)
    ]


def evaluate_budgets(rules: Sequence[AlertRule], scope: Scope, at: datetime) -> Judgement:
    """One query."""
    standing = BudgetBreach.objects.standing().filter(budget__is_enabled=True)
    mine = standing.filter(tenant__in=_tenants(RuleKind.COST_BUDGET)).order_by()
    breaches = _by_tenant(mine.select_related("budget"))
    return Judgement(
        firing=[f for rule in rules for f in judge_budgets(rule, breaches[rule.tenant_id])]
    )


def evaluate_anomalies(rules: Sequence[AlertRule], scope: Scope, at: datetime) -> Judgement:
    """One query."""
    days = max((rule.settings.count("days") for rule in rules), default=1)
    recent = CostAnomaly.objects.standing().filter(first_seen_at__gte=at - timedelta(days=days))
    mine = recent.filter(tenant__in=_tenants(RuleKind.COST_ANOMALY)).order_by()
    anomalies = _by_tenant(mine.select_related("account"))
    return Judgement(
        firing=[f for rule in rules for f in judge_anomalies(rule, anomalies[rule.tenant_id], at)]
    )


def _tenants(kind: RuleKind) -> Any:
    """Those whose rules are judged, for a subquery."""
    return AlertRule.objects.enabled().filter(kind=kind).order_by().values("tenant")


def _by_tenant(rows: Iterable[Row]) -> defaultdict[UUID, list[Row]]:
    found: defaultdict[UUID, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.tenant_id].append(row)
    return found


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
