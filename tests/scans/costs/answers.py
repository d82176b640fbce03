"""What Cost Explorer answers, written by its API reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from tests.aws_simulator.fault_proxy import FaultProxy


def usage(
    days: Mapping[date, Mapping[str, str]], *, token: str = "", estimated: bool = False
) -> dict[str, Any]:
    """One page of GetCostAndUsage: USD by day and key; amortized is as unblended."""
    page: dict[str, Any] = {
        "ResultsByTime": [
            {
                "TimePeriod": _period(day),
                "Total": {},
                "Groups": [_group(key, usd) for key, usd in amounts.items()],
                "Estimated": estimated,
            }
            for day, amounts in days.items()
        ],
        "DimensionValueAttributes": [],
    }
    return page | ({"NextPageToken": token} if token else {})


def _group(key: str, usd: str) -> dict[str, Any]:
    amount = {"Amount": usd, "Unit": "USD"}
    return {"Keys": [key], "Metrics": {"UnblendedCost": amount, "AmortizedCost": amount}}


def forecast(start: date, daily_usd: Iterable[int]) -> dict[str, Any]:
    """GetCostForecast; each day's bounds are 1 USD off."""
    figures = list(daily_usd)
    return {
        "Total": {"Amount": str(sum(figures)), "Unit": "USD"},
        "ForecastResultsByTime": [
            {
                "TimePeriod": _period(start + timedelta(days=number)),
                "MeanValue": str(usd),
                "PredictionIntervalLowerBound": str(usd - 1),
                "PredictionIntervalUpperBound": str(usd + 1),
            }
            for number, usd in enumerate(figures)
        ],
    }


def plans_coverage(start: date, days: Iterable[tuple[int, int]]) -> dict[str, Any]:
    """GetSavingsPlansCoverage: (covered, on demand) of each day."""
    return {
        "SavingsPlansCoverages": [
            {
                "Attributes": {},
                "Coverage": {
                    "SpendCoveredBySavingsPlans": str(covered),
                    "OnDemandCost": str(on_demand),
                    "TotalCost": str(covered + on_demand),
                    "CoveragePercentage": "0",
                },
                "TimePeriod": _period(start + timedelta(days=number)),
            }
            for number, (covered, on_demand) in enumerate(days)
        ]
    }


def plans_utilization(arn: str, ends_at: str) -> dict[str, Any]:
    used = {
        "TotalCommitment": "720",
        "UsedCommitment": "648",
        "UnusedCommitment": "72",
        "UtilizationPercentage": "90",
    }
    return {
        "SavingsPlansUtilizationDetails": [
            {
                "SavingsPlanArn": arn,
                "Attributes": {
                    "SavingsPlansType": "Compute",
                    "HourlyCommitment": "1",
                    "EndDateTime": ends_at,
                    "Region": "Any",
                },
                "Utilization": used,
            }
        ],
        "Total": {"Utilization": used},
        "TimePeriod": {"Start": "2026-10-25", "End": "2026-11-24"},
    }


def reservation_coverage(reserved: int, running: int) -> dict[str, Any]:
    return {
        "CoveragesByTime": [],
        "Total": {
            "CoverageHours": {
                "OnDemandHours": str(running - reserved),
                "ReservedHours": str(reserved),
                "TotalRunningHours": str(running),
                "CoverageHoursPercentage": "0",
            },
            "CoverageCost": {"OnDemandCost": "12.5"},
        },
    }


def reservation_utilization(subscription: str, ends_at: str) -> dict[str, Any]:
    return {
        "UtilizationsByTime": [
            {
                "TimePeriod": {"Start": "2026-10-25", "End": "2026-11-24"},
                "Groups": [
                    {
                        "Key": "SUBSCRIPTION_ID",
                        "Value": subscription,
                        "Attributes": {
                            "subscriptionId": subscription,
                            "instanceType": "m5.large",
                            "numberOfInstances": "2",
                            "service": "Amazon EC2",
                            "region": "eu-west-1",
                            "endDateTime": ends_at,
                        },
                        "Utilization": {"UtilizationPercentage": "50", "TotalAmortizedFee": "80"},
                    }
                ],
            }
        ],
        "Total": {"UtilizationPercentage": "50", "RICostForUnusedHours": "40"},
    }


def anomaly(day: date, service: str, *, account: str = "", impact: int = 50) -> dict[str, Any]:
    cause = {"Service": service, "Region": "eu-west-1", "UsageType": "EU-BoxUsage"}
    return {
        "AnomalyId": f"anomaly-{day}-{service}",
        "AnomalyStartDate": f"{day}T00:00:00Z",
        "DimensionValue": service,
        "RootCauses": [cause | ({"LinkedAccount": account} if account else {})],
        "AnomalyScore": {"MaxScore": 0.9, "CurrentScore": 0.5},
        "Impact": {
            "MaxImpact": impact,
            "TotalImpact": impact,
            "TotalActualSpend": impact + 10,
            "TotalExpectedSpend": 10,
        },
        "MonitorArn": "arn:aws:ce::123456789012:anomalymonitor/1",
    }


def answer_nothing(proxy: FaultProxy) -> None:
    """An account that was never asked about before, without costs, commitments and anomalies."""
    proxy.answer("GetCostAndUsage", usage({}))
    proxy.answer("GetSavingsPlansCoverage", {"SavingsPlansCoverages": []})
    proxy.answer("GetReservationCoverage", {"CoveragesByTime": [], "Total": {}})
    proxy.answer("GetReservationUtilization", {"UtilizationsByTime": [], "Total": {}})
    proxy.answer("GetAnomalies", {"Anomalies": []})


def _period(day: date) -> dict[str, str]:
    return {"Start": day.isoformat(), "End": (day + timedelta(days=1)).isoformat()}
