"""Asks CloudWatch for many metrics at once. Runs in threads and touches no database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from scans.aws.clients import AwsClient
from scans.aws.metrics import Dimensions, Question, Reading, Series, Term, Window

SERVICE = "cloudwatch"
GET_METRIC_DATA = "GetMetricData"
LIST_METRICS = "ListMetrics"
# AWS takes 500 series a call but answers at most 100,800 values at once: 14 days of hours of 300.
SERIES_A_CALL = 300
MEMORY_METRIC = "mem_used_percent"
_COMPLETE = frozenset({"Complete", "PartialData"})


def read_metrics(
    client: AwsClient, questions: Sequence[Question], window: Window
) -> tuple[list[Reading], int]:
    """The readings of questions of one period, and how many series CloudWatch failed to read:
    their questions have no reading."""
    all_series = [Series(question, window) for question in questions]
    asked: dict[str, tuple[Series, Term]] = {}
    for series in all_series:
        for term in series.question.series:
            asked[f"m{len(asked)}"] = (series, term)
    failed = set(asked)  # until CloudWatch has answered, even if by nothing
    period = questions[0].period
    for page in _pages(client, asked, window, period):
        for result in page.get("MetricDataResults", ()):
            series, term = asked[result["Id"]]
            if result.get("StatusCode", "Complete") in _COMPLETE:
                failed.discard(result["Id"])
            series.add(term, zip(result["Timestamps"], result["Values"], strict=True))
    incomplete = {id(asked[query_id][0]) for query_id in failed}
    readings = [series.reading() for series in all_series if id(series) not in incomplete]
    return readings, len(failed)


def _pages(
    client: AwsClient, asked: dict[str, tuple[Series, Term]], window: Window, period: int
) -> Iterator[dict[str, Any]]:
    start, end = window.bounds(period)
    pages: Iterator[dict[str, Any]] = iter(
        client.get_paginator("get_metric_data").paginate(
            StartTime=start,
            EndTime=end,
            ScanBy="TimestampAscending",
            MetricDataQueries=[
                _query(query_id, term, period) for query_id, (_, term) in asked.items()
            ],
        )
    )
    return pages


def _query(query_id: str, term: Term, period: int) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in term.dimensions]
    metric = {"Namespace": term.namespace, "MetricName": term.name, "Dimensions": dimensions}
    return {
        "Id": query_id,
        "MetricStat": {"Metric": metric, "Period": period, "Stat": term.stat},
        "ReturnData": True,
    }


def memory_dimensions(client: AwsClient) -> dict[str, Dimensions]:
    """What the CloudWatch agents of a region call their instances' memory, by instance.

    The agent adds dimensions as it was told to, and a series is found by all of them only.
    """
    found: dict[str, Dimensions] = {}
    pages = client.get_paginator("list_metrics").paginate(
        Namespace="CWAgent", MetricName=MEMORY_METRIC, RecentlyActive="PT3H"
    )
    for page in pages:
        for metric in page.get("Metrics", ()):
            dimensions = tuple((str(d["Name"]), str(d["Value"])) for d in metric["Dimensions"])
            if instance_id := dict(dimensions).get("InstanceId"):
                found.setdefault(instance_id, dimensions)
    return found
