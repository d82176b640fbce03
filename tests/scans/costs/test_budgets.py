"""Budgets: thresholds by hand, told once a month, over one account or all."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from scans.aws.budgets import (
    Breach,
    budget_figures,
    find_breaches,
    judge_budget,
    judge_budgets,
    standing_breaches,
)
from scans.models import Account, BreachKind, Budget, BudgetBreach, CostForecast, CostRecord
from scans.models.owned import ForeignAccountError
from tests.factories import make_account, make_tenant

TODAY = date(2026, 11, 24)
MONTH = date(2026, 11, 1)
EC2, S3 = "Amazon Elastic Compute Cloud - Compute", "Amazon Simple Storage Service"
ACTUAL, FORECAST = BreachKind.ACTUAL, BreachKind.FORECAST


@pytest.mark.parametrize(
    ("actual", "forecast", "told"),
    [
        ("99.99", None, []),
        ("100", None, [(ACTUAL, 50)]),
        ("159.99", "199.99", [(ACTUAL, 50)]),
        ("160", "200", [(ACTUAL, 50), (ACTUAL, 80), (FORECAST, 100)]),
        ("200", None, [(ACTUAL, 50), (ACTUAL, 80), (ACTUAL, 100)]),
        ("0", "500", [(FORECAST, 100)]),
        ("-5", "0", []),
    ],
)
def test_thresholds_of_two_hundred_dollars(
    actual: str, forecast: str | None, told: list[tuple[BreachKind, int]]
) -> None:
    found = find_breaches(
        Decimal(200),
        actual_usd=Decimal(actual),
        forecast_usd=None if forecast is None else Decimal(forecast),
        thresholds=[100, 50, 80],
        forecast_threshold=100,
    )
    assert [(breach.kind, breach.threshold) for breach in found] == told


def test_a_budget_without_a_forecast_threshold_says_nothing_of_forecasts() -> None:
    found = find_breaches(
        Decimal(1),
        actual_usd=Decimal(1),
        forecast_usd=Decimal(99),
        thresholds=[100],
        forecast_threshold=None,
    )
    assert found == [Breach(ACTUAL, 100, Decimal(1))]


def spend(account: Account, usd: int, *, day: date = TODAY, service: str = EC2) -> None:
    CostRecord.objects.update_or_create(
        account=account,
        date=day,
        service=service,
        metric="unblended",
        defaults={"amount_usd": usd, "tenant_id": account.tenant_id},
    )


def make_budget(**overrides: Any) -> Budget:
    fields = {"name": "all", "limit_usd": 100, "forecast_threshold": None}
    return Budget.objects.create(**{**fields, **overrides})


def told(budget: Budget) -> set[tuple[str, int, date]]:
    rows = BudgetBreach.objects.filter(budget=budget)
    return {(row.kind, row.threshold, row.period) for row in rows}


both = pytest.mark.usefixtures("db")
pytestmark = pytest.mark.both_databases


@both
def test_each_threshold_is_told_once_a_month() -> None:
    account = make_account()
    budget = make_budget(tenant=account.tenant)
    spend(account, 60)
    assert [breach.threshold for breach in judge_budget(budget, TODAY)] == [50]
    assert judge_budget(budget, TODAY) == []
    spend(account, 85)
    assert [breach.threshold for breach in judge_budget(budget, TODAY)] == [80]
    # A revision below the threshold, and up again: told already.
    spend(account, 10)
    assert judge_budget(budget, TODAY) == []
    spend(account, 90)
    assert judge_budget(budget, TODAY) == []
    assert told(budget) == {(ACTUAL, 50, MONTH), (ACTUAL, 80, MONTH)}
    assert [breach.threshold for breach in standing_breaches(account.tenant)] == [80, 50]


@both
def test_a_new_month_begins_at_nothing() -> None:
    account = make_account()
    budget = make_budget(tenant=account.tenant)
    spend(account, 60)
    judge_budget(budget, TODAY)
    december = date(2026, 12, 1)
    assert judge_budget(budget, december) == []
    assert standing_breaches(account.tenant) == []
    assert BudgetBreach.objects.get().recovered_at is not None
    spend(account, 70, day=december)
    judge_budget(budget, december)
    assert told(budget) == {(ACTUAL, 50, MONTH), (ACTUAL, 50, december)}


@both
def test_only_the_months_own_days_count() -> None:
    account = make_account()
    budget = make_budget(tenant=account.tenant)
    spend(account, 500, day=MONTH - timedelta(days=1))
    spend(account, 5, day=MONTH)
    assert budget_figures(budget, TODAY).actual_usd == 5


@both
def test_by_region_and_amortized_the_same_money_is_not_counted_again() -> None:
    account = make_account()
    spend(account, 40)
    for fields in (
        {"region": "eu-west-1", "metric": "unblended"},
        {"service": EC2, "metric": "amortized"},
    ):
        CostRecord.objects.create(account=account, date=TODAY, amount_usd=40, **fields)
    assert budget_figures(make_budget(tenant=account.tenant), TODAY).actual_usd == 40


@both
def test_a_budget_may_be_of_one_account_or_one_service() -> None:
    tenant = make_tenant()
    one, two = make_account(tenant=tenant), make_account(tenant=tenant)
    spend(make_account(), 1000)
    spend(one, 30)
    spend(one, 10, service=S3)
    spend(two, 50)
    budgets = {
        "all": make_budget(tenant=tenant),
        "one": make_budget(tenant=tenant, name="one", account=one),
        "s3": make_budget(tenant=tenant, name="s3", service=S3),
    }
    actual = {name: budget_figures(each, TODAY).actual_usd for name, each in budgets.items()}
    assert actual == {"all": 90, "one": 40, "s3": 10}
    judge_budgets(two, TODAY)
    assert told(budgets["all"]) == {(ACTUAL, 50, MONTH), (ACTUAL, 80, MONTH)}
    assert told(budgets["one"]) == set()


@both
def test_a_forecast_over_the_limit_is_told() -> None:
    account = make_account()
    budget = make_budget(tenant=account.tenant, forecast_threshold=100)
    spend(account, 10)
    CostForecast.objects.create(
        account=account, month=MONTH, amount_usd=101, low_usd=90, high_usd=120, basis="aws"
    )
    judge_budget(budget, TODAY)
    assert told(budget) == {(FORECAST, 100, MONTH)}
    assert BudgetBreach.objects.get().value_usd == 101


@both
def test_one_account_without_a_forecast_leaves_the_whole_unknown() -> None:
    tenant = make_tenant()
    known, unknown = make_account(tenant=tenant), make_account(tenant=tenant)
    for account in (known, unknown):
        spend(account, 10)
    make_account(tenant=tenant)  # nothing was ever told of this one
    CostForecast.objects.create(
        account=known, month=MONTH, amount_usd=900, low_usd=1, high_usd=999, basis="aws"
    )
    assert budget_figures(make_budget(tenant=tenant), TODAY).forecast_usd is None


@both
def test_a_budget_that_is_off_says_nothing() -> None:
    account = make_account()
    budget = make_budget(tenant=account.tenant, is_enabled=False)
    spend(account, 500)
    assert judge_budgets(account, TODAY) == []
    assert told(budget) == set()


@both
def test_the_database_keeps_budgets_sensible() -> None:
    account = make_account()
    make_budget(tenant=account.tenant)
    with pytest.raises(IntegrityError), transaction.atomic():
        make_budget(tenant=account.tenant)
    with pytest.raises(IntegrityError), transaction.atomic():
        make_budget(tenant=account.tenant, name="none", limit_usd=0)
    with pytest.raises(ForeignAccountError):
        make_budget(tenant=make_tenant(), account=account)
    with pytest.raises(ValidationError):
        Budget(tenant=account.tenant, name="none", limit_usd=0).full_clean()
