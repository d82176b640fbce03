"""A cost refresh as a job, its schedule, and costs at once after a discovery."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from hostmaster.core.jobs import engine
from scans.aws.costs.services import REFRESH_EVERY, due_at, request_due_costs
from scans.aws.costs.summary import cost_summary
from scans.aws.simulator import SIMULATED_KEYS
from scans.models import Account, CostFetch, ScanJob, ScanKind
from scans.services import add_account, request_cost_refresh, request_scan
from tests.aws_simulator.fault_proxy import Fault, FaultProxy
from tests.factories import make_account, make_tenant
from tests.scans.costs import answers

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

EC2 = "Amazon Elastic Compute Cloud - Compute"


@pytest.fixture
def account() -> Account:
    added = add_account(
        make_tenant(),
        name="a",
        access_key_id=SIMULATED_KEYS.access_key_id,
        secret_access_key=SIMULATED_KEYS.secret_access_key,
        regions=["eu-west-1"],
    )
    added.advance("connected")
    return added


def run(job: ScanJob) -> ScanJob:
    ScanJob.objects.filter(pk=job.pk).update(run_at=timezone.now())
    job.refresh_from_db()
    assert engine.claim(job)
    engine.execute(job)
    job.refresh_from_db()
    return job


def answer_costs(proxy: FaultProxy) -> None:
    yesterday = timezone.now().date() - timedelta(days=1)
    proxy.answer(
        "GetCostAndUsage",
        answers.usage({yesterday: {EC2: "12.5"}}),
        answers.usage({yesterday: {"eu-west-1": "12.5"}}),
    )
    answers.answer_nothing(proxy)
    proxy.answer("GetCostForecast", answers.forecast(timezone.now().date(), [1]))
    proxy.answer("GetSavingsPlansUtilizationDetails", answers.plans_utilization("arn:p", ""))


@pytest.mark.services
def test_a_cost_refresh_stores_costs_and_says_what_it_paid(
    account: Account, fault_proxy: FaultProxy
) -> None:
    answer_costs(fault_proxy)
    job = run(request_cost_refresh(account, ring=False))
    assert (job.state, job.errors) == ("COMPLETED", [])
    assert job.summary == {
        "units": {"ok": 8},
        "is_partial": False,
        "requests": 8,
        "requests_usd": "0.08",
    }
    assert job.units.get(call="GetCostAndUsage").rows == 2
    account.refresh_from_db()
    assert (account.status, account.cache_generation) == ("connected", 1)
    assert cost_summary(account).last_30_days_usd == pytest.approx(12.5)


@pytest.mark.services
def test_what_is_denied_is_in_the_coverage_and_tried_no_further(
    account: Account, fault_proxy: FaultProxy
) -> None:
    fault_proxy.add(Fault(code="AccessDeniedException", service="ce"))
    job = run(request_cost_refresh(account, ring=False))
    assert (job.state, job.summary["units"]) == ("COMPLETED", {"denied": 8})
    missing = set(job.units.values_list("missing_action", flat=True))
    assert {"ce:GetCostAndUsage", "ce:GetAnomalies"} <= missing


@pytest.mark.services
def test_a_call_that_broke_is_tried_again(account: Account, fault_proxy: FaultProxy) -> None:
    fault_proxy.add(Fault(code="InternalError", action="GetCostAndUsage"))
    answer_costs(fault_proxy)
    job = run(request_cost_refresh(account, ring=False))
    assert (job.state, job.attempts) == ("QUEUED", 1)
    assert "Cost Explorer did not tell" in job.errors[0]["message"]
    fault_proxy.mend()
    answer_costs(fault_proxy)
    fault_proxy.forget_calls()
    assert run(job).state == "COMPLETED"
    asked = {call.action for call in fault_proxy.calls if call.service == "ce"}
    assert asked == {"GetCostAndUsage"}


@pytest.mark.services
def test_a_discovery_shows_costs_at_once(account: Account, fault_proxy: FaultProxy) -> None:
    answer_costs(fault_proxy)
    job = run(request_scan(account, kind=ScanKind.DISCOVERY, ring=False))
    assert job.state == "COMPLETED"
    account.refresh_from_db()
    assert cost_summary(account).last_30_days_usd == pytest.approx(12.5)


def usable(**overrides: Any) -> Account:
    fields = {"status": "active", "role_arn": "arn:aws:iam::123456789012:role/x"}
    return make_account(**{**fields, **overrides})


def test_the_schedule_asks_where_nobody_did_for_a_day() -> None:
    long_ago = timezone.now() - timedelta(days=3)
    due = usable(created_at=long_ago)
    fetched = usable(created_at=long_ago)
    CostFetch.objects.create(account=fetched, call="GetCostAndUsage")
    usable(created_at=long_ago, is_simulated=True)
    usable(created_at=long_ago, status="failed")
    usable(created_at=long_ago, role_arn="")
    assert request_due_costs().processed == 1
    job = ScanJob.objects.get()
    assert (job.account, job.kind, job.requested_by) == (due, "cost", "schedule")
    assert request_due_costs().processed == 0, "it is asked for already"
    CostFetch.objects.update(fetched_at=long_ago)
    assert request_due_costs().processed == 1


def test_accounts_spread_over_an_hour_each_at_its_own_minute() -> None:
    at = timezone.now()
    accounts = [Account() for _ in range(50)]
    minutes = {(due_at(account, at, None) - at - REFRESH_EVERY) for account in accounts}
    assert len(minutes) > 20
    assert timedelta(0) <= min(minutes)
    assert max(minutes) < timedelta(hours=1)
    assert due_at(accounts[0], at) == due_at(accounts[0], at)
