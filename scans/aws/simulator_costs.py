"""Cost Explorer of the AWS simulator, which moto lacks but for one call. All figures are made up.

An account of the simulator has cost nothing until `COSTS_PATH` is posted to; from then on it
costs what its demo estate would, the same for a day whenever it is asked about.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from zlib import crc32

COSTS_PATH = "/simulated-costs"
RESET_PATH = "/moto-api/reset"
_TARGET = "AWSInsightsIndexService."

COMPUTE = "Amazon Elastic Compute Cloud - Compute"
OTHER = "EC2 - Other"
# USD a working day by service and region.
_DAILY = {
    (COMPUTE, "us-east-1"): 23.0,
    (COMPUTE, "eu-west-1"): 17.3,
    (COMPUTE, "eu-central-1"): 13.4,
    (OTHER, "us-east-1"): 7.9,
    (OTHER, "eu-west-1"): 5.6,
    (OTHER, "eu-central-1"): 3.1,
    ("Amazon Virtual Private Cloud", "us-east-1"): 0.36,
    ("Amazon Virtual Private Cloud", "eu-west-1"): 0.24,
    ("Amazon Virtual Private Cloud", "eu-central-1"): 0.24,
    ("AmazonCloudWatch", "us-east-1"): 1.1,
}
_WEEKEND = 0.85
# Something copies a lot on these days of each month, so that there is an unusual day to look at.
_COPYING_DAYS = frozenset({4, 14, 24})
_COPYING = (OTHER, "us-east-1")
_COPYING_USD = 41.0
_DAY = timedelta(days=1)


class NothingToTellError(Exception):
    """Cost Explorer has no data of this account."""


class WithCosts:
    """moto's server, and before it the calls of Cost Explorer."""

    def __init__(self, server: WSGIApplication) -> None:
        self._server = server
        self._costs_something = False

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path, target = str(environ.get("PATH_INFO")), str(environ.get("HTTP_X_AMZ_TARGET", ""))
        if path == COSTS_PATH:
            self._costs_something = True
            return _respond(start_response, "200 OK", {})
        if path == RESET_PATH:
            self._costs_something = False
        action = target.removeprefix(_TARGET)
        answer = (_OF_DEMO if self._costs_something else _OF_NOTHING).get(action)
        if action == target or answer is None:
            return self._server(environ, start_response)
        try:
            told = answer(_question(environ))
        except NothingToTellError as error:
            refusal = {"__type": "DataUnavailableException", "message": str(error.__doc__)}
            return _respond(start_response, "400 Bad Request", refusal)
        return _respond(start_response, "200 OK", told)


def _question(environ: WSGIEnvironment) -> dict[str, Any]:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    question: dict[str, Any] = json.loads(body or b"{}")
    return question


def _respond(start_response: StartResponse, status: str, told: Mapping[str, Any]) -> list[bytes]:
    body = json.dumps(told).encode()
    headers = [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))]
    start_response(status, headers)
    return [body]


def usd_of(service: str, region: str, day: date) -> float:
    """What a service cost there on a day, within 4 % of what such a day usually costs."""
    usual = _DAILY[service, region] * (_WEEKEND if day.weekday() >= 5 else 1.0)
    varied = usual * (0.96 + crc32(f"{service}{region}{day}".encode()) % 81 / 1000)
    is_copying = (service, region) == _COPYING and day.day in _COPYING_DAYS
    return varied + (_COPYING_USD if is_copying else 0.0)


def _spent(service: str, region: str, day: date) -> float:
    """So far: nothing on days to come, part of today."""
    now = datetime.now(UTC)
    if day > now.date():
        return 0.0
    part = (now.hour + 1) / 24 if day == now.date() else 1.0
    return part * usd_of(service, region, day)


def _cost_and_usage(question: dict[str, Any]) -> dict[str, Any]:
    by_region = question["GroupBy"][0]["Key"] == "REGION"
    results = [
        {
            "TimePeriod": _period(day),
            "Total": {},
            "Groups": [_group(key, usd) for key, usd in _grouped(day, by_region).items()],
            "Estimated": datetime.now(UTC).date() - day < 2 * _DAY,
        }
        for day in _days(question)
    ]
    return {"ResultsByTime": results, "DimensionValueAttributes": []}


def _grouped(day: date, by_region: bool) -> dict[str, float]:
    grouped: dict[str, float] = {}
    for service, region in _DAILY:
        key = region if by_region else service
        grouped[key] = grouped.get(key, 0.0) + _spent(service, region, day)
    return grouped


def _group(key: str, usd: float) -> dict[str, Any]:
    amount = {"Amount": f"{usd:.6f}", "Unit": "USD"}
    return {"Keys": [key], "Metrics": {"UnblendedCost": amount, "AmortizedCost": amount}}


def _forecast(question: dict[str, Any]) -> dict[str, Any]:
    """By what each day will cost, give or take a tenth."""
    expected = [(day, sum(usd_of(*where, day) for where in _DAILY)) for day in _days(question)]
    results = [
        {
            "TimePeriod": _period(day),
            "MeanValue": f"{usd:.6f}",
            "PredictionIntervalLowerBound": f"{0.9 * usd:.6f}",
            "PredictionIntervalUpperBound": f"{1.1 * usd:.6f}",
        }
        for day, usd in expected
    ]
    total = {"Amount": f"{sum(usd for _, usd in expected):.6f}", "Unit": "USD"}
    return {"Total": total, "ForecastResultsByTime": results}


def _no_forecast(question: dict[str, Any]) -> dict[str, Any]:
    raise NothingToTellError


def _plans_coverage(question: dict[str, Any]) -> dict[str, Any]:
    """The demo has no Savings Plan: all its compute is on demand."""
    regions = [region for service, region in _DAILY if service == COMPUTE]
    return {
        "SavingsPlansCoverages": [
            {
                "Attributes": {},
                "Coverage": {
                    "SpendCoveredBySavingsPlans": "0",
                    "OnDemandCost": f"{usd:.6f}",
                    "TotalCost": f"{usd:.6f}",
                    "CoveragePercentage": "0",
                },
                "TimePeriod": _period(day),
            }
            for day in _days(question)
            if (usd := sum(_spent(COMPUTE, region, day) for region in regions))
        ]
    }


def _days(question: dict[str, Any]) -> Iterator[date]:
    """From its first day up to but without its last."""
    asked = question["TimePeriod"]
    day, end = date.fromisoformat(asked["Start"]), date.fromisoformat(asked["End"])
    while day < end:
        yield day
        day += _DAY


def _period(day: date) -> dict[str, str]:
    return {"Start": day.isoformat(), "End": (day + _DAY).isoformat()}


_OF_NOTHING = {
    "GetCostForecast": _no_forecast,
    "GetSavingsPlansCoverage": lambda _: {"SavingsPlansCoverages": []},
    "GetSavingsPlansUtilizationDetails": lambda question: {
        "SavingsPlansUtilizationDetails": [],
        "TimePeriod": question["TimePeriod"],
    },
    "GetReservationCoverage": lambda _: {"CoveragesByTime": [], "Total": {}},
    "GetReservationUtilization": lambda _: {"UtilizationsByTime": [], "Total": {}},
    "GetAnomalies": lambda _: {"Anomalies": []},
}
_OF_DEMO = {
    **_OF_NOTHING,
    "GetCostAndUsage": _cost_and_usage,
    "GetCostForecast": _forecast,
    "GetSavingsPlansCoverage": _plans_coverage,
}
