"""A refresh against Cost Explorer's answers: what is stored, said and not asked again."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from hostmaster.core.jobs import engine
from scans.aws.clients import AwsSession, open_session
from scans.aws.commitments import commitment_facts
from scans.aws.costs.calls import CallEnd
from scans.aws.costs.explorer import QUESTIONS, next_month
from scans.aws.costs.refresh import refresh_costs
from scans.aws.simulator import SIMULATED_ACCOUNT_ID, SIMULATED_KEYS
from scans.models import (
    Account,
    Budget,
    BudgetBreach,
    Commitment,
    CostAnomaly,
    CostFetch,
    CostForecast,
    CostRecord,
    ScanJob,
    ScanKind,
)
from tests.aws_simulator.fault_proxy import Fault, FaultProxy
from tests.factories import make_account, make_scan_job
from tests.scans.costs import answers

pytestmark = [pytest.mark.django_db, pytest.mark.services, pytest.mark.both_databases]

EC2, S3 = "Amazon Elastic Compute Cloud - Compute", "Amazon Simple Storage Service"


def today() -> date:
    return timezone.now().date()


def ago(days: int) -> date:
    return today() - timedelta(days=days)


@pytest.fixture
def proxy(fault_proxy: FaultProxy) -> FaultProxy:
    return fault_proxy


@pytest.fixture
def session(proxy: FaultProxy) -> Iterator[AwsSession]:
    with open_session(SIMULATED_KEYS) as opened:
        yield opened


@pytest.fixture
def account() -> Account:
    return make_account(aws_account_id=SIMULATED_ACCOUNT_ID)


def outcomes(ends: list[CallEnd]) -> dict[str, str]:
    return {end.call: end.outcome.outcome.value for end in ends}


def amounts(account: Account) -> dict[tuple[str, str, str], Decimal]:
    rows = CostRecord.objects.filter(account=account, metric="unblended")
    return {(str(r.date), r.service, r.region): r.amount_usd for r in rows}


def test_days_are_kept_by_service_and_by_region(
    account: Account, session: AwsSession, proxy: FaultProxy
) -> None:
    first, second = ago(3), ago(2)
    proxy.answer(
        "GetCostAndUsage",
        answers.usage({first: {EC2: "10.0000004", S3: "2"}}, token="more"),
        answers.usage({second: {EC2: "11"}}, estimated=True),
        answers.usage({first: {"eu-west-1": "12", "NoRegion": "0.5"}}),
    )
    answers.answer_nothing(proxy)
    ends = {end.call: end for end in refresh_costs(account, session, None)}
    assert amounts(account) == {
        (str(first), EC2, ""): Decimal("10.000000"),
        (str(first), S3, ""): 2,
        (str(second), EC2, ""): 11,
        (str(first), "", "eu-west-1"): 12,
        (str(first), "", "NoRegion"): Decimal("0.5"),
    }
    assert CostRecord.objects.filter(metric="amortized").count() == 5
    assert CostRecord.objects.filter(is_estimated=True).count() == 2
    assert CostRecord.objects.filter(tenant=account.tenant).count() == 10
    usage = ends["GetCostAndUsage"]
    assert (usage.region, usage.rows, usage.calls) == ("us-east-1", 6, 2)
    assert ends["GetCostAndUsage by region"].calls == 1


def test_only_this_account_is_asked_for(
    account: Account, session: AwsSession, proxy: FaultProxy
) -> None:
    answers.answer_nothing(proxy)
    refresh_costs(account, session, None)
    asked = [json.loads(call.text) for call in proxy.calls if call.action == "GetCostAndUsage"]
    only = {"Dimensions": {"Key": "LINKED_ACCOUNT", "Values": [SIMULATED_ACCOUNT_ID]}}
    assert [body["Filter"] for body in asked] == [only, only]
    assert asked[0]["TimePeriod"] == {"Start": str(ago(92)), "End": str(ago(-1))}


def test_nothing_is_asked_twice_within_six_hours(
    account: Account, session: AwsSession, proxy: FaultProxy
) -> None:
    answers.answer_nothing(proxy)
    proxy.answer("GetCostForecast", answers.forecast(today(), [1]))
    proxy.answer("GetSavingsPlansUtilizationDetails", answers.plans_utilization("arn:p", ""))
    first = refresh_costs(account, session, None)
    assert outcomes(first) == {question.call: "ok" for question in QUESTIONS}
    assert sum(end.calls for end in first) == len(QUESTIONS)
    proxy.forget_calls()
    second = refresh_costs(account, session, None)
    assert outcomes(second) == outcomes(first)
    assert (proxy.calls, sum(end.calls for end in second)) == ([], 0)
    assert all("asked again six hours later" in end.outcome.message for end in second)
    CostFetch.objects.update(fetched_at=timezone.now() - timedelta(hours=6, minutes=1))
    refresh_costs(account, session, None)
    assert len(proxy.calls) == len(QUESTIONS)


def test_a_cost_refresh_takes_no_older_answer_but_its_own(
    account: Account, session: AwsSession, proxy: FaultProxy
) -> None:
    answers.answer_nothing(proxy)
    refresh_costs(account, session, None)
    job = make_scan_job(account=account, kind=ScanKind.COST)
    for action in ("GetCostForecast", "GetSavingsPlansUtilizationDetails"):
        proxy.add(Fault(code="AccessDeniedException", action=action))
    proxy.forget_calls()
    assert all(end.calls for end in _refresh_as(job.pk, account, session))
    proxy.forget_calls()
    # A second attempt of the same job pays again only for what failed.
    again = _refresh_as(job.pk, account, session)
    assert {end.call for end in again if end.calls} == {
        "GetCostForecast",
        "GetSavingsPlansUtilizationDetails",
    }


def _refresh_as(pk: uuid.UUID, account: Account, session: AwsSession) -> list[CallEnd]:
    job = ScanJob.objects.get(pk=pk)
    if not job.lease_owner:
        assert engine.claim(job)
    return refresh_costs(account, session, job)


def test_a_revision_overwrites_and_drops_what_is_no_longer_named(
    account: Account, session: AwsSession, proxy: FaultProxy
) -> None:
    day = ago(3)
    answers.answer_nothing(proxy)
    CostRecord.objects.create(
        account=account, date=day, service=EC2, metric="unblended", amount_usd=5
    )
    for service, when in ((S3, day), (S3, ago(50))):
        CostRecord.objects.create(
            account=account, date=when, service=service, metric="unblended", amount_usd=7
        )
    proxy.mend()
    proxy.answer("GetCostAndUsage", answers.usage({day: {EC2: "6"}}), answers.usage({}))
    refresh_costs(account, session, None)
    assert amounts(account) == {(str(day), EC2, ""): 6, (str(ago(50)), S3, ""): 7}


def test_half_an_answer_drops_nothing(
    account: Account, session: AwsSession, proxy: FaultProxy
) -> None:
    day = ago(3)
    CostRecord.objects.create(
        account=account, date=day, service=S3, metric="unblended", amount_usd=7
    )
    page = json.dumps(answers.usage({day: {EC2: "6"}}, token="more"))
    proxy.add(Fault(answer=page, action="GetCostAndUsage", times=1))
    proxy.add(Fault(code="InternalError", action="GetCostAndUsage"))
    ends = refresh_costs(account, session, None)
    assert outcomes(ends)["GetCostAndUsage"] == "error"
    assert amounts(account) == {(str(day), EC2, ""): 6, (str(day), S3, ""): 7}
    assert not CostFetch.objects.filter(call="GetCostAndUsage").exists()


@pytest.mark.parametrize(
    ("fault", "outcome", "missing"),
    [
        (Fault(code="AccessDeniedException"), "denied", "ce:GetCostAndUsage"),
        (
            Fault(
                code="AccessDeniedException", message="User not enabled for cost explorer access"
            ),
            "not_enabled",
            "",
        ),
        (Fault(code="DataUnavailableException"), "not_enabled", ""),
        (Fault(code="ThrottlingException"), "throttled", ""),
        (Fault(code="InternalError"), "error", ""),
        (Fault(cuts=True), "error", ""),
    ],
)
def test_a_call_that_fails_says_how_and_stops_nothing(
    account: Account,
    session: AwsSession,
    proxy: FaultProxy,
    fault: Fault,
    outcome: str,
    missing: str,
) -> None:
    proxy.add(
        Fault(code=fault.code, message=fault.message, cuts=fault.cuts, action="GetCostAndUsage")
    )
    answers.answer_nothing(proxy)
    ends = {end.call: end for end in refresh_costs(account, session, None)}
    for call in ("GetCostAndUsage", "GetCostAndUsage by region"):
        told = ends[call].outcome
        assert (told.outcome.value, told.missing_action) == (outcome, missing)
    assert ends["GetAnomalies"].is_ok


def test_no_data_about_commitments_means_none(
    account: Account, session: AwsSession, proxy: FaultProxy
) -> None:
    answers.answer_nothing(proxy)
    for action in ("GetSavingsPlansUtilizationDetails", "GetCostForecast"):
        proxy.add(Fault(code="DataUnavailableException", action=action))
    told = outcomes(refresh_costs(account, session, None))
    assert set(told.values()) == {"ok"}


def test_commitments_are_kept_for_rules(
    account: Account, session: AwsSession, proxy: FaultProxy
) -> None:
    """By hand: 30 days, 20 covered of 100 on demand; 3 of them had 24 uncovered, so nine of ten
    had at least 80: the fourth smallest. Reservations cover half of the hours."""
    soon = timezone.now() + timedelta(days=10)
    days = [(20, 24)] * 3 + [(20, 80)] * 27
    proxy.answer("GetSavingsPlansCoverage", answers.plans_coverage(ago(30), days))
    proxy.answer(
        "GetSavingsPlansUtilizationDetails",
        answers.plans_utilization("arn:aws:savingsplans::1:savingsplan/x", soon.isoformat()),
    )
    proxy.answer("GetReservationCoverage", answers.reservation_coverage(50, 100))
    proxy.answer(
        "GetReservationUtilization", answers.reservation_utilization("123", "2099-01-01T00:00:00Z")
    )
    answers.answer_nothing(proxy)
    refresh_costs(account, session, None)
    facts = commitment_facts(account, timezone.now())
    share = Decimal(600) / (600 + 72 + 2160)
    assert facts.savings_plans_coverage == round(share, 6)
    assert facts.coverage == 1 - (1 - round(share, 6)) * Decimal("0.5")
    assert facts.uncovered_monthly_usd == 2232
    assert facts.steady_uncovered_hourly_usd == round(Decimal(80) / 24, 6)
    (ending,) = facts.ending_soon
    assert [ending.description, ending.monthly_usd] == ["Compute", 730]
    assert ending.utilization == Decimal("0.9")
    reserved = Commitment.objects.get(kind="reserved")
    assert (reserved.commitment_id, reserved.region) == ("123", "eu-west-1")
    assert reserved.description == "2 × m5.large Amazon EC2"


def test_the_forecast_is_cost_explorers_or_else_ours(
    account: Account, session: AwsSession, proxy: FaultProxy
) -> None:
    days = {ago(n): {EC2: "10"} for n in range(1, 57)}
    proxy.answer("GetCostAndUsage", answers.usage(days), answers.usage({}))
    answers.answer_nothing(proxy)
    proxy.add(Fault(code="AccessDeniedException", action="GetCostForecast"))
    refresh_costs(account, session, None)
    proxy.mend()
    month = today().replace(day=1)
    ours = CostForecast.objects.get(account=account)
    whole = 10 * (next_month(month) - month).days
    assert [ours.month, ours.amount_usd, ours.basis] == [month, whole, "weekday"]
    left = (next_month(today()) - today()).days
    proxy.answer("GetCostForecast", answers.forecast(today(), [20] * left))
    refresh_costs(account, session, None)
    theirs = CostForecast.objects.get(account=account)
    spent = 10 * (today() - month).days
    assert [theirs.amount_usd, theirs.basis] == [spent + 20 * left, "aws"]
    assert theirs.high_usd == theirs.amount_usd + left
    refresh_costs(account, session, None)
    assert CostForecast.objects.get(account=account).basis == "aws"


def test_anomalies_follow_revisions_and_are_found_once(
    account: Account, session: AwsSession, proxy: FaultProxy
) -> None:
    day = ago(4)
    usual = {ago(n): {EC2: "100", S3: "10"} for n in range(1, 71)}
    spike = usual | {day: {EC2: "300", S3: "10"}}
    regions = {d: {"eu-west-1": "110"} for d in usual} | {day: {"eu-west-1": "310"}}

    def answer(days: dict[date, dict[str, str]]) -> None:
        CostFetch.objects.all().delete()
        proxy.mend()
        proxy.answer("GetCostAndUsage", answers.usage(days), answers.usage(regions))
        mine = answers.anomaly(day, EC2, account=SIMULATED_ACCOUNT_ID)
        others = answers.anomaly(ago(5), S3, account="999999999999")
        proxy.answer("GetAnomalies", {"Anomalies": [mine, others]})
        answers.answer_nothing(proxy)
        refresh_costs(account, session, None)

    answer(spike)
    found = CostAnomaly.objects.get()
    assert [found.date, found.service, found.source] == [day, EC2, "both"]
    assert [found.actual_usd, found.expected_usd, found.excess_usd] == [300, 100, 200]
    assert found.contributors[0]["excess_usd"] == "200.00"
    assert found.regions == [{"region": "eu-west-1", "excess_usd": "200.00"}]
    answer(usual | {day: {EC2: "250", S3: "10"}})
    found.refresh_from_db()
    assert [found.excess_usd, found.withdrawn_at] == [150, None]
    # Served from memory, AWS's word of it holds.
    refresh_costs(account, session, None)
    found.refresh_from_db()
    assert [found.source, found.withdrawn_at] == ["both", None]


def test_an_anomaly_that_is_revised_away_is_withdrawn_and_may_come_back(
    account: Account, session: AwsSession, proxy: FaultProxy
) -> None:
    day = ago(4)
    usual = {ago(n): {EC2: "100"} for n in range(1, 71)}

    def answer(usd: str) -> CostAnomaly:
        CostFetch.objects.all().delete()
        proxy.mend()
        days = usual | {day: {EC2: usd}}
        proxy.answer("GetCostAndUsage", answers.usage(days), answers.usage({}))
        answers.answer_nothing(proxy)
        refresh_costs(account, session, None)
        return CostAnomaly.objects.get()

    assert answer("300").withdrawn_at is None
    assert answer("101").withdrawn_at is not None
    assert not CostAnomaly.objects.standing().exists()
    assert answer("290").withdrawn_at is None


def test_budgets_are_judged_by_what_was_fetched(
    account: Account, session: AwsSession, proxy: FaultProxy
) -> None:
    budget = Budget.objects.create(tenant=account.tenant, name="all", limit_usd=100)
    proxy.answer("GetCostAndUsage", answers.usage({today(): {EC2: "85"}}), answers.usage({}))
    answers.answer_nothing(proxy)
    refresh_costs(account, session, None)
    told = BudgetBreach.objects.filter(budget=budget).values_list("kind", "threshold")
    assert set(told) == {("actual", 50), ("actual", 80)}


def test_accounts_of_two_tenants_share_nothing(
    account: Account, session: AwsSession, proxy: FaultProxy
) -> None:
    stranger = make_account(aws_account_id=SIMULATED_ACCOUNT_ID)
    proxy.answer("GetCostAndUsage", answers.usage({ago(2): {EC2: "1"}}), answers.usage({}))
    answers.answer_nothing(proxy)
    refresh_costs(account, session, None)
    assert not CostRecord.objects.filter(account=stranger).exists()
    assert not CostFetch.objects.filter(account=stranger).exists()
