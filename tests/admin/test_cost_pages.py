"""Costs, anomalies and budgets as operators see them."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from scans.models import Budget, ScanJob
from tests.admin.conftest import Cost
from tests.factories import (
    make_account,
    make_anomaly,
    make_breach,
    make_budget,
    make_cost,
    make_tenant,
)

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.mark.parametrize("model", ["costrecord", "costanomaly", "budget", "budgetbreach"])
def test_lists_cost_the_same_for_few_rows_and_for_many(query_count: Cost, model: str) -> None:
    def fill() -> None:
        make_cost()
        make_anomaly()
        make_breach()

    path = f"/admin/scans/{model}/"
    fill()
    few = query_count(path)
    for _ in range(5):
        fill()
    assert query_count(path) == few
    assert few <= 9


def test_an_anomaly_shows_what_it_is_made_of(operator: Client) -> None:
    anomaly = make_anomaly(
        contributors=[
            {"service": "<b>S3</b>", "actual_usd": "200.00", "expected_usd": "100.00"},
        ],
        regions=[{"region": "eu-west-1", "excess_usd": "90.00"}],
        withdrawn_at=timezone.now(),
    )
    page = operator.get(f"/admin/scans/costanomaly/{anomaly.pk}/change/").content.decode()
    assert "&lt;b&gt;S3&lt;/b&gt;: $200.00 instead of $100.00" in page
    assert "eu-west-1: $90.00 too much" in page
    assert "Withdrawn" in page


def test_a_cost_and_a_breach_can_be_read_and_not_written(operator: Client) -> None:
    for model, row in (("costrecord", make_cost()), ("budgetbreach", make_breach())):
        path = f"/admin/scans/{model}/{row.pk}"
        assert operator.get(f"{path}/change/").status_code == 200
        assert operator.post(f"{path}/delete/", {"post": "yes"}).status_code == 403


def budget_form(**overrides: object) -> dict[str, object]:
    fields = {"name": "All", "limit_usd": "500", "thresholds": "80, 50 %", "is_enabled": "on"}
    return {**fields, "forecast_threshold": "100", **overrides}


def test_a_budget_is_set_by_an_operator(operator: Client) -> None:
    tenant = make_tenant()
    operator.post("/admin/scans/budget/add/", budget_form(tenant=tenant.pk))
    budget = Budget.objects.get()
    assert [budget.tenant, budget.thresholds, budget.limit_usd] == [tenant, [50, 80], 500]
    page = operator.get(f"/admin/scans/budget/{budget.pk}/change/").content.decode()
    assert 'value="50, 80"' in page


@pytest.mark.parametrize("thresholds", ["half", "0", "50, -1", "9999"])
def test_a_threshold_is_a_percent(operator: Client, thresholds: str) -> None:
    form = budget_form(tenant=make_tenant().pk, thresholds=thresholds)
    assert operator.post("/admin/scans/budget/add/", form).status_code == 200
    assert not Budget.objects.exists()


def test_a_budget_of_another_tenants_account_is_refused(operator: Client) -> None:
    form = budget_form(tenant=make_tenant().pk, account=make_account().pk)
    page = operator.post("/admin/scans/budget/add/", form).content.decode()
    assert "belongs to another tenant" in page
    assert not Budget.objects.exists()


def test_an_accounts_page_shows_what_was_spent_and_asks_for_more(operator: Client) -> None:
    account = make_account(status="active", role_arn="arn:aws:iam::123456789012:role/x")
    path = f"/admin/scans/account/{account.pk}"
    assert "spent this month" not in operator.get(f"{path}/change/").content.decode()
    make_cost(account=account, date=timezone.now().date(), amount_usd="12.34")
    account.update_guarded(cache_generation=1)
    page = operator.get(f"{path}/change/").content.decode()
    assert "spent this month" in page
    assert "$12.34" in page
    assert "Refresh costs (about $0.08)" in page
    answer = operator.post(f"{path}/refresh-costs/", follow=True)
    assert "Fresh costs asked for" in answer.content.decode()
    assert ScanJob.objects.get().kind == "cost"


def test_an_onlooker_orders_nothing(onlooker: Client) -> None:
    account = make_account(status="active", role_arn="arn:aws:iam::123456789012:role/x")
    assert onlooker.post(f"/admin/scans/account/{account.pk}/refresh-costs/").status_code == 403
    budget = make_budget()
    assert onlooker.post(f"/admin/scans/budget/{budget.pk}/change/", {}).status_code == 403
