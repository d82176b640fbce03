"""What Cost Explorer is asked about one account, and its answers as plain rows. No database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, TypeAlias

from scans.aws import commitments
from scans.aws.anomalies import TheirAnomaly
from scans.aws.clients import AwsClient
from scans.aws.commitments import Covered, Used
from scans.aws.costs.calls import whole
from scans.models import CostMetric

COMMITMENT_DAYS = 30
ANOMALY_DAYS = 60
MICRO = Decimal("0.000001")
SERVICE, REGION = "SERVICE", "REGION"
NO_REGION = "NoRegion"
_METRICS = {"UnblendedCost": CostMetric.UNBLENDED, "AmortizedCost": CostMetric.AMORTIZED}


@dataclass(frozen=True)
class Amount:
    """One day's money under one key: a service or a region."""

    key: str
    metric: CostMetric
    usd: Decimal
    currency: str


@dataclass(frozen=True)
class DayCosts:
    day: date
    dimension: str  # SERVICE or REGION
    amounts: Sequence[Amount]
    is_estimated: bool = False


@dataclass(frozen=True)
class Remainder:
    """What Cost Explorer expects of the days from `start` to the end of their month."""

    start: date
    usd: Decimal
    low_usd: Decimal
    high_usd: Decimal


@dataclass(frozen=True)
class TheirAnomalies:
    found: Sequence[TheirAnomaly] = ()


Answer: TypeAlias = DayCosts | Remainder | Covered | Used | TheirAnomalies


@dataclass(frozen=True)
class Subject:
    """The account asked about, today in UTC, and since when its days are wanted."""

    aws_account_id: str
    today: date
    since: date

    @property
    def scope(self) -> dict[str, Any]:
        """A management account sees its whole organization: we ask for the account alone."""
        if not self.aws_account_id:
            return {}
        only = {"Key": "LINKED_ACCOUNT", "Values": [self.aws_account_id]}
        return {"Filter": {"Dimensions": only}}


Ask: TypeAlias = Callable[[AwsClient, Subject, "Requests"], Iterator[Answer]]


@dataclass
class Requests:
    """How many requests a question took: each is paid for."""

    sent: int = 0


@dataclass(frozen=True)
class Question:
    """One unit of a scan. `none_means_nothing`: where AWS says that it has no data, there is none;
    otherwise Cost Explorer is not ready yet."""

    call: str
    iam_action: str
    ask: Ask = field(repr=False)
    none_means_nothing: bool = True


def ask_days(dimension: str) -> Ask:
    def ask(client: AwsClient, subject: Subject, requests: Requests) -> Iterator[Answer]:
        wanted = {
            "TimePeriod": _period(subject.since, subject.today + timedelta(days=1)),
            "Granularity": "DAILY",
            "Metrics": list(_METRICS),
            "GroupBy": [{"Type": "DIMENSION", "Key": dimension}],
            **subject.scope,
        }
        for page in _pages(client.get_cost_and_usage, wanted, requests, holds="ResultsByTime"):
            for result in page.get("ResultsByTime", ()):
                yield day_costs(result, dimension)

    return ask


def day_costs(result: Mapping[str, Any], dimension: str) -> DayCosts:
    """One entry of `ResultsByTime`."""
    amounts = [
        amount
        for group in result.get("Groups", ())
        for amount in _amounts(str((group.get("Keys") or [""])[0]), group.get("Metrics", {}))
    ]
    day = date.fromisoformat(result["TimePeriod"]["Start"][:10])
    return DayCosts(day, dimension, amounts, bool(result.get("Estimated", False)))


def _amounts(key: str, metrics: Mapping[str, Any]) -> Iterator[Amount]:
    for name, metric in _METRICS.items():
        if name in metrics:
            told = metrics[name]
            usd = Decimal(str(told["Amount"])).quantize(MICRO, rounding=ROUND_HALF_UP)
            yield Amount(key, metric, usd, str(told.get("Unit") or "USD")[:3])


def ask_forecast(client: AwsClient, subject: Subject, requests: Requests) -> Iterator[Answer]:
    requests.sent += 1
    answer = client.get_cost_forecast(
        TimePeriod=_period(subject.today, next_month(subject.today)),
        Metric="UNBLENDED_COST",
        Granularity="DAILY",
        PredictionIntervalLevel=80,
        **subject.scope,
    )
    yield remainder(whole(answer, "Total"), subject.today)


def remainder(answer: Mapping[str, Any], start: date) -> Remainder:
    total = Decimal(str(answer["Total"]["Amount"]))
    days = answer.get("ForecastResultsByTime") or ()
    # Bounds of single days, added up: wider than the month's own would be, so never too sure.
    low = _sum(days, "PredictionIntervalLowerBound", total)
    high = _sum(days, "PredictionIntervalUpperBound", total)
    return Remainder(start, total, min(low, total), max(high, total))


def ask_plans_coverage(client: AwsClient, subject: Subject, requests: Requests) -> Iterator[Answer]:
    wanted = {"TimePeriod": last_30_days(subject), "Granularity": "DAILY", **subject.scope}
    pages = _pages(
        client.get_savings_plans_coverage,
        wanted,
        requests,
        holds="SavingsPlansCoverages",
        next_key="NextToken",
    )
    days = [day for page in pages for day in page.get("SavingsPlansCoverages", ())]
    yield commitments.plans_covered(days)


def ask_plans_utilization(
    client: AwsClient, subject: Subject, requests: Requests
) -> Iterator[Answer]:
    wanted = {"TimePeriod": last_30_days(subject), **subject.scope}
    total: Mapping[str, Any] = {}
    details: list[Mapping[str, Any]] = []  # a commitment each: tens, not thousands
    pages = _pages(
        client.get_savings_plans_utilization_details,
        wanted,
        requests,
        holds="SavingsPlansUtilizationDetails",
        next_key="NextToken",
    )
    for page in pages:
        total = page.get("Total") or total
        details += page.get("SavingsPlansUtilizationDetails", ())
    yield commitments.plans_used(total, details)


def ask_reservation_coverage(
    client: AwsClient, subject: Subject, requests: Requests
) -> Iterator[Answer]:
    requests.sent += 1
    answer = client.get_reservation_coverage(TimePeriod=last_30_days(subject), **subject.scope)
    yield commitments.reservations_covered(whole(answer, "CoveragesByTime").get("Total") or {})


def ask_reservation_utilization(
    client: AwsClient, subject: Subject, requests: Requests
) -> Iterator[Answer]:
    group_by = [{"Type": "DIMENSION", "Key": "SUBSCRIPTION_ID"}]
    wanted = {"TimePeriod": last_30_days(subject), "GroupBy": group_by, **subject.scope}
    total: Mapping[str, Any] = {}
    groups: list[Mapping[str, Any]] = []
    pages = _pages(client.get_reservation_utilization, wanted, requests, holds="UtilizationsByTime")
    for page in pages:
        total = page.get("Total") or total
        for period in page.get("UtilizationsByTime", ()):
            groups += period.get("Groups", ())
    yield commitments.reservations_used(total, groups)


def ask_anomalies(client: AwsClient, subject: Subject, requests: Requests) -> Iterator[Answer]:
    start = subject.today - timedelta(days=ANOMALY_DAYS)
    interval = {"StartDate": start.isoformat(), "EndDate": subject.today.isoformat()}
    pages = _pages(client.get_anomalies, {"DateInterval": interval}, requests, holds="Anomalies")
    described = [anomaly for page in pages for anomaly in page.get("Anomalies", ())]
    found = [their_anomaly(each, subject.aws_account_id) for each in described]
    yield TheirAnomalies([anomaly for anomaly in found if anomaly is not None])


def their_anomaly(described: Mapping[str, Any], aws_account_id: str) -> TheirAnomaly | None:
    """`None` for one of another account of the organization, or that somebody called none."""
    causes = described.get("RootCauses") or [{}]
    accounts = {cause.get("LinkedAccount") for cause in causes} - {None, ""}
    if accounts and aws_account_id and aws_account_id not in accounts:
        return None
    if described.get("Feedback") == "NO" or not described.get("AnomalyStartDate"):
        return None
    impact = described.get("Impact", {})
    actual, expected = impact.get("TotalActualSpend"), impact.get("TotalExpectedSpend")
    excess = Decimal(str(impact.get("TotalImpact") or impact.get("MaxImpact") or 0))
    return TheirAnomaly(
        day=date.fromisoformat(described["AnomalyStartDate"][:10]),
        service=str(causes[0].get("Service") or described.get("DimensionValue") or "Unknown"),
        excess_usd=excess,
        actual_usd=excess if actual is None else Decimal(str(actual)),
        expected_usd=Decimal(0) if expected is None else Decimal(str(expected)),
        region=str(causes[0].get("Region") or ""),
        usage_type=str(causes[0].get("UsageType") or ""),
    )


def last_30_days(subject: Subject) -> dict[str, str]:
    return _period(subject.today - timedelta(days=COMMITMENT_DAYS), subject.today)


def next_month(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _period(start: date, end: date) -> dict[str, str]:
    """`end` is the day after the last, as Cost Explorer counts."""
    return {"Start": start.isoformat(), "End": end.isoformat()}


def _pages(
    call: Callable[..., Mapping[str, Any]],
    wanted: Mapping[str, Any],
    sent: Requests,
    *,
    holds: str,
    next_key: str = "NextPageToken",
) -> Iterator[Mapping[str, Any]]:
    more: dict[str, str] = {}
    while True:
        sent.sent += 1
        page = whole(call(**wanted, **more), holds)
        yield page
        if not page.get(next_key):
            return
        more = {next_key: page[next_key]}


def _sum(days: Sequence[Mapping[str, Any]], name: str, if_untold: Decimal) -> Decimal:
    if not days or any(day.get(name) is None for day in days):
        return if_untold
    return sum((Decimal(str(day[name])) for day in days), Decimal(0))


# One after the other: what the first leaves of the rate is the second's.
USAGE = (
    Question("GetCostAndUsage", "ce:GetCostAndUsage", ask_days(SERVICE), none_means_nothing=False),
    Question(
        "GetCostAndUsage by region",
        "ce:GetCostAndUsage",
        ask_days(REGION),
        none_means_nothing=False,
    ),
)
OTHERS = (
    Question("GetCostForecast", "ce:GetCostForecast", ask_forecast),
    Question("GetSavingsPlansCoverage", "ce:GetSavingsPlansCoverage", ask_plans_coverage),
    Question(
        "GetSavingsPlansUtilizationDetails",
        "ce:GetSavingsPlansUtilizationDetails",
        ask_plans_utilization,
    ),
    Question("GetReservationCoverage", "ce:GetReservationCoverage", ask_reservation_coverage),
    Question(
        "GetReservationUtilization", "ce:GetReservationUtilization", ask_reservation_utilization
    ),
    Question("GetAnomalies", "ce:GetAnomalies", ask_anomalies),
)
QUESTIONS = (*USAGE, *OTHERS)
