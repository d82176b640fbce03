"""Costs, anomalies and budgets over the API."""

from __future__ import annotations

import csv
import io
import json
from datetime import date, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client
from django.utils import timezone

from hostmaster.core.tenants.models import Role
from scans.aws.standing import renew_figures
from scans.models import (
    Account,
    Budget,
    BudgetBreach,
    CostAnomaly,
    CostForecast,
    CostRecord,
    ScanJob,
)
from tests.api.caller import BASE, Caller
from tests.factories import bearer, make_account, make_token

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

EC2, S3 = "Amazon Elastic Compute Cloud - Compute", "Amazon Simple Storage Service"
DAY = date(2026, 11, 20)


@pytest.fixture
def caller() -> Caller:
    return Caller()


@pytest.fixture
def account(caller: Caller) -> Account:
    return make_account(tenant=caller.tenant)


def spend(account: Account, usd: str, *, day: date = DAY, **fields: Any) -> CostRecord:
    if "region" not in fields:
        fields = {"service": EC2, **fields}
    return CostRecord.objects.create(
        account=account, date=day, amount_usd=usd, **{"metric": "unblended", **fields}
    )


@pytest.fixture
def two_days(account: Account) -> None:
    """30 USD by service, the same by region; amortized it is more."""
    spend(account, "10")
    spend(account, "5", service=S3, is_estimated=True)
    spend(account, "15", day=DAY - timedelta(days=1))
    spend(account, "15", region="eu-west-1")
    spend(account, "15", region="eu-west-1", day=DAY - timedelta(days=1))
    spend(account, "99", metric="amortized")
    spend(make_account(), "1000")


@pytest.mark.usefixtures("two_days")
@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ({}, [("2026-11-20", "15.000000", True), ("2026-11-19", "15.000000", False)]),
        ({"group": "service"}, [(EC2, "25.000000", False), (S3, "5.000000", True)]),
        ({"group": "region"}, [("eu-west-1", "30.000000", False)]),
        ({"service": S3}, [("2026-11-20", "5.000000", True)]),
        ({"region": "eu-west-1", "from": DAY}, [("2026-11-20", "15.000000", False)]),
        ({"to": "2026-11-19"}, [("2026-11-19", "15.000000", False)]),
        ({"metric": "amortized"}, [("2026-11-20", "99.000000", False)]),
    ],
)
def test_costs_are_added_up_by_what_is_asked_and_never_twice(
    caller: Caller, query: dict[str, Any], rows: list[tuple[str, str, bool]]
) -> None:
    found = caller.items("/costs", **query)
    assert [(row["key"], f"{float(row['usd']):.6f}", row["estimated"]) for row in found] == rows


@pytest.mark.usefixtures("two_days")
def test_by_account_the_key_is_its_id(caller: Caller, account: Account) -> None:
    (row,) = caller.items("/costs", group="account")
    assert row["key"] == str(account.pk)
    assert float(row["usd"]) == 30


@pytest.mark.parametrize(
    "query",
    [
        {"group": "region", "service": EC2},
        {"group": "service", "region": "eu-west-1"},
        {"service": EC2, "region": "eu-west-1"},
    ],
)
def test_by_service_and_region_at_once_is_refused(caller: Caller, query: dict[str, str]) -> None:
    assert caller.get("/costs", **query).status == 422


@pytest.mark.usefixtures("two_days")
def test_a_file_holds_what_is_filtered(caller: Caller, account: Account) -> None:
    spend(account, "1", service="=cmd()", day=DAY - timedelta(days=9))
    client = Client(headers=bearer(make_token(tenant=caller.tenant, role=Role.VIEWER)))
    answer = client.get(f"{BASE}/costs/export")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="costs.csv"'
    rows = list(csv.DictReader(io.StringIO(b"".join(answer).decode())))
    assert [row["service"] for row in rows] == ["'=cmd()", EC2, EC2, S3]
    assert rows[1]["account"] == account.name
    assert float(rows[1]["amount_usd"]) == 15
    answer = client.get(f"{BASE}/costs/export", {"format": "json", "region": "eu-west-1"})
    told = json.loads(b"".join(answer))
    assert [row["date"] for row in told] == ["2026-11-19", "2026-11-20"]
    empty = client.get(f"{BASE}/costs/export", {"format": "json", "from": "2027-01-01"})
    assert json.loads(b"".join(empty)) == []


@pytest.mark.usefixtures("two_days")
def test_under_asgi_a_file_is_sent_as_it_is_read(caller: Caller) -> None:
    async def download() -> bytes:
        answer: Any = await AsyncClient().get(f"{BASE}/costs/export", headers=bearer(token))
        assert answer.is_async
        return b"".join([chunk async for chunk in answer])

    token = make_token(tenant=caller.tenant)
    assert async_to_sync(download)().count(b"\r\n") == 4


@pytest.mark.usefixtures("two_days")
def test_the_summary_is_of_this_month_and_cached_until_new_figures(
    caller: Caller, account: Account
) -> None:
    today = timezone.now().date()
    CostRecord.objects.all().delete()
    path = f"/accounts/{account.pk}/costs"
    nothing = caller.get(path).body
    assert (nothing["month_to_date_usd"], nothing["by_service"]) == (None, [])
    renew_figures(account)
    spend(account, "7", day=today)
    spend(account, "3", day=today - timedelta(days=29), service=S3)
    spend(account, "4", day=today - timedelta(days=31), service=S3)
    CostForecast.objects.create(
        account=account,
        month=today.replace(day=1),
        amount_usd=90,
        low_usd=80,
        high_usd=100,
        basis="aws",
    )
    shown = caller.get(path).body
    assert float(shown["month_to_date_usd"]) == (7 if today.day < 30 else 10)
    assert [(row["service"], float(row["usd"])) for row in shown["by_service"]] == [(S3, 3)]
    assert (float(shown["forecast_usd"]), shown["forecast_basis"]) == (90, "aws")
    spend(account, "100", day=today, service=S3)
    assert caller.get(path).body == shown, "cached"
    renew_figures(account)
    assert float(caller.get(path).body["month_to_date_usd"]) >= 107


def test_a_refresh_is_a_job_and_open_only_once(caller: Caller, account: Account) -> None:
    path = f"/accounts/{account.pk}/refresh-costs"
    first = caller.post(path)
    assert (first.status, first.body["kind"]) == (202, "cost")
    assert caller.post(path).body["id"] == first.body["id"]
    assert ScanJob.objects.get().requested_by == "token CI"
    viewer = Caller(tenant=caller.tenant, role=Role.VIEWER)
    assert viewer.post(path).status == 403


def test_anomalies_that_stand_are_listed(caller: Caller, account: Account) -> None:
    fields: dict[str, Any] = {
        "source": "ours",
        "service": EC2,
        "actual_usd": 200,
        "expected_usd": 100,
        "excess_usd": 100,
        "score": "13.49",
    }
    standing = CostAnomaly.objects.create(account=account, date=DAY, **fields)
    CostAnomaly.objects.create(
        account=account, date=DAY - timedelta(days=1), withdrawn_at=timezone.now(), **fields
    )
    CostAnomaly.objects.create(account=make_account(), date=DAY, **fields)
    (row,) = caller.items("/cost-anomalies")
    assert (row["id"], row["account"], row["score"]) == (standing.pk, str(account.pk), "13.49")
    assert len(caller.items("/cost-anomalies", withdrawn=True)) == 1
    assert caller.items("/cost-anomalies", **{"from": "2026-11-21"}) == []


def test_a_budget_is_made_changed_and_forgotten(caller: Caller, account: Account) -> None:
    made = caller.post("/budgets", name="All", limit_usd="500.00", account=account.pk)
    assert (made.status, made.body["thresholds"], made.body["forecast_threshold"]) == (
        201,
        [50, 80, 100],
        100,
    )
    path = f"/budgets/{made.body['id']}"
    assert caller.post("/budgets", name="All", limit_usd="5").status == 409
    changed = caller.patch(path, version=1, limit_usd="600", forecast_threshold=None)
    assert (changed.body["limit_usd"], changed.body["forecast_threshold"]) == ("600.00", None)
    assert changed.body["account"] == str(account.pk)
    assert caller.patch(path, version=1, limit_usd="700").status == 409
    assert caller.get(path).body == changed.body
    assert [row["name"] for row in caller.items("/budgets")] == ["All"]
    assert caller.delete(path).status == 204
    assert caller.get(path).status == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "a", "limit_usd": "0"}, "body.limit_usd"),
        ({"name": "", "limit_usd": "1"}, "body.name"),
        ({"name": "a", "limit_usd": "1", "thresholds": [0]}, "body.thresholds.0"),
        ({"name": "a", "limit_usd": "1", "colour": "red"}, "body.colour"),
    ],
)
def test_a_broken_budget_is_refused(caller: Caller, body: dict[str, Any], field: str) -> None:
    refused = caller.post("/budgets", **body)
    assert [name.replace("body.body", "body") for name in refused.fields] == [field]


def test_a_strangers_rows_are_not_there(caller: Caller) -> None:
    foreign = make_account()
    budget = Budget.objects.create(tenant=foreign.tenant, name="theirs", limit_usd=1)
    BudgetBreach.objects.create(
        tenant=foreign.tenant,
        budget=budget,
        kind="actual",
        threshold=50,
        period=DAY.replace(day=1),
        value_usd=1,
        limit_usd=1,
    )
    assert caller.get(f"/accounts/{foreign.pk}/costs").status == 404
    assert caller.post(f"/accounts/{foreign.pk}/refresh-costs").status == 404
    assert caller.post("/budgets", name="a", limit_usd="1", account=foreign.pk).status == 404
    assert caller.get(f"/budgets/{budget.pk}").status == 404
    assert caller.delete(f"/budgets/{budget.pk}").status == 404
    assert caller.items("/budget-breaches") == []
    assert caller.items("/budgets") == []


def test_breaches_of_this_month_are_listed(caller: Caller, account: Account) -> None:
    budget = Budget.objects.create(tenant=caller.tenant, name="ours", limit_usd=100)
    for threshold, recovered_at in ((50, None), (80, timezone.now())):
        BudgetBreach.objects.create(
            tenant=caller.tenant,
            budget=budget,
            kind="actual",
            threshold=threshold,
            period=DAY.replace(day=1),
            value_usd=55,
            limit_usd=100,
            recovered_at=recovered_at,
        )
    (row,) = caller.items("/budget-breaches", budget=budget.pk)
    assert (row["threshold"], row["budget"]) == (50, str(budget.pk))
    assert [row["threshold"] for row in caller.items("/budget-breaches", recovered=True)] == [80]
