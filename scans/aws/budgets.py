"""Budgets: which thresholds a month's figures pass, told once a month each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db.models import Q
from django.utils import timezone

from hostmaster.core.tenants.models import Tenant
from scans.aws.costs.figures import MonthFigures, month_figures
from scans.models import Account, BreachKind, Budget, BudgetBreach


@dataclass(frozen=True)
class Breach:
    """A threshold that a month's figures pass."""

    kind: BreachKind
    threshold: int  # percent of the limit
    value_usd: Decimal


def find_breaches(
    limit_usd: Decimal,
    *,
    actual_usd: Decimal,
    forecast_usd: Decimal | None,
    thresholds: Iterable[int],
    forecast_threshold: int | None,
) -> list[Breach]:
    """The thresholds that are reached, lowest first, the forecast's last. Of an unknown forecast
    nothing is said."""
    breaches = [
        Breach(BreachKind.ACTUAL, threshold, actual_usd)
        for threshold in sorted(set(thresholds))
        if actual_usd * 100 >= limit_usd * threshold
    ]
    if (
        forecast_usd is not None
        and forecast_threshold is not None
        and forecast_usd * 100 >= limit_usd * forecast_threshold
    ):
        breaches.append(Breach(BreachKind.FORECAST, forecast_threshold, forecast_usd))
    return breaches


def judge_budgets(account: Account, today: date) -> list[BudgetBreach]:
    """Judge the budgets this account counts for; answers the breaches that are new."""
    budgets = Budget.objects.filter(
        Q(account=account) | Q(account=None), tenant=account.tenant_id, is_enabled=True
    )
    return [breach for budget in budgets.iterator() for breach in judge_budget(budget, today)]


def judge_budget(budget: Budget, today: date) -> list[BudgetBreach]:
    """Write down what is newly passed. Breaches of earlier months recover; what was told this
    month stays told, though a revision may lower the figures again."""
    month = today.replace(day=1)
    standing = BudgetBreach.objects.standing().filter(budget=budget)
    standing.filter(period__lt=month).update(recovered_at=timezone.now())
    figures = budget_figures(budget, today)
    found = find_breaches(
        budget.limit_usd,
        actual_usd=figures.actual_usd,
        forecast_usd=figures.forecast_usd,
        thresholds=budget.thresholds,
        forecast_threshold=budget.forecast_threshold,
    )
    return _keep(budget, month, found)


def budget_figures(budget: Budget, today: date) -> MonthFigures:
    """The month so far and to come, of all accounts the budget is for."""
    accounts = Account.objects.filter(tenant=budget.tenant_id)
    if budget.account_id is not None:
        accounts = accounts.filter(pk=budget.account_id)
    return month_figures(list(accounts), today, service=budget.service)


def _keep(budget: Budget, month: date, found: Sequence[Breach]) -> list[BudgetBreach]:
    told = set(
        BudgetBreach.objects.filter(budget=budget, period=month).values_list("kind", "threshold")
    )
    new = [
        BudgetBreach(
            tenant_id=budget.tenant_id,
            budget=budget,
            kind=breach.kind,
            threshold=breach.threshold,
            period=month,
            value_usd=breach.value_usd,
            limit_usd=budget.limit_usd,
        )
        for breach in found
        if (breach.kind, breach.threshold) not in told
    ]
    # Two scans of a tenant may find the same: the first has it.
    BudgetBreach.objects.bulk_create(new, ignore_conflicts=True)
    return new


def standing_breaches(tenant: Tenant) -> list[BudgetBreach]:
    """The facts for alerts: passed this month, the highest thresholds first."""
    return list(BudgetBreach.objects.standing().filter(tenant=tenant).select_related("budget"))
