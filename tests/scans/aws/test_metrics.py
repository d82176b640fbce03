"""Hours summed up, against sums done by hand."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scans.aws.metrics import (
    DAY,
    HOUR,
    Question,
    Series,
    Term,
    Window,
    batches,
    percentile,
    questions_of,
)

# A Thursday, five past three in the afternoon.
NOW = datetime(2026, 11, 26, 15, 5, tzinfo=UTC)
CPU = Term("AWS/EC2", "CPUUtilization", "Average", (("InstanceId", "i-1"),))
PEAK = Term("AWS/EC2", "CPUUtilization", "Maximum", (("InstanceId", "i-1"),))
IN = Term("AWS/EC2", "NetworkIn", "Sum", ())
OUT = Term("AWS/EC2", "NetworkOut", "Sum", ())


def question(**overrides: Any) -> Question:
    fields: dict[str, Any] = {
        "kind": "ec2_instance",
        "resource_id": "i-1",
        "metric": "cpu_percent",
        "terms": (CPU,),
    }
    return Question(**{**fields, **overrides})


def hours(values: Iterable[float], *, window: Window) -> list[tuple[datetime, float]]:
    """Values of the window's first hours."""
    start, _ = window.bounds(HOUR)
    return [(start + timedelta(hours=n), value) for n, value in enumerate(values)]


def test_window_ends_with_the_last_whole_hour() -> None:
    window = Window.before(NOW, 14)
    assert window.bounds(HOUR) == (
        datetime(2026, 11, 12, 15, tzinfo=UTC),
        datetime(2026, 11, 26, 15, tzinfo=UTC),
    )
    assert window.slots(HOUR) == 336


def test_window_of_days_ends_with_today() -> None:
    window = Window.before(NOW, 14)
    assert window.bounds(DAY) == (
        datetime(2026, 11, 13, tzinfo=UTC),
        datetime(2026, 11, 27, tzinfo=UTC),
    )
    assert window.slots(DAY) == 14


def test_a_hundred_hours_by_hand() -> None:
    window = Window.before(NOW, 14)
    series = Series(question(), window)
    series.add(CPU, hours(range(1, 101), window=window))
    reading = series.reading()
    assert (reading.datapoints, reading.expected) == (100, 336)
    assert (reading.p50, reading.p95, reading.p99) == (50, 95, 99)
    assert (reading.average, reading.maximum) == (50.5, 100)
    assert reading.total is None
    assert reading.daily is not None
    assert reading.daily[:5] == [12.5, 36.5, 60.5, 84.5, 98.5]
    assert reading.daily[5:] == [None] * 9


def test_no_hours_are_no_zeros() -> None:
    reading = Series(question(is_counted=True), Window.before(NOW, 14)).reading()
    assert (reading.datapoints, reading.expected) == (0, 336)
    assert (reading.average, reading.p99, reading.total, reading.daily) == (None,) * 4


def test_terms_are_added_hour_by_hour_and_counts_have_a_total() -> None:
    window = Window.before(NOW, 14)
    series = Series(question(terms=(IN, OUT), is_counted=True), window)
    series.add(IN, hours([1, 2, 3], window=window))
    series.add(OUT, hours([10, 20], window=window))
    reading = series.reading()
    assert (reading.datapoints, reading.total, reading.maximum) == (3, 36, 22)
    assert reading.daily is not None
    assert reading.daily[0] == 36


def test_the_peak_within_an_hour_is_the_maximum() -> None:
    window = Window.before(NOW, 14)
    series = Series(question(peak=PEAK), window)
    series.add(CPU, hours([10, 20], window=window))
    series.add(PEAK, hours([15, 97], window=window))
    assert (series.reading().maximum, series.reading().p99) == (97, 20)


def test_what_is_outside_the_window_is_left_out() -> None:
    window = Window.before(NOW, 14)
    start, end = window.bounds(HOUR)
    series = Series(question(), window)
    series.add(CPU, [(start - timedelta(seconds=1), 9.0), (end, 9.0), (start, 1.0)])
    assert (series.reading().datapoints, series.reading().maximum) == (1, 1)


def test_hours_of_the_week_begin_on_monday() -> None:
    window = Window.before(NOW, 14)
    series = Series(question(wants_week=True), window)
    # Monday the 16th and the 23rd, 09:00 and 09:00.
    series.add(
        CPU,
        [
            (datetime(2026, 11, 16, 9, tzinfo=UTC), 10.0),
            (datetime(2026, 11, 23, 9, tzinfo=UTC), 30.0),
            (datetime(2026, 11, 22, 23, tzinfo=UTC), 7.0),
        ],
    )
    week = series.reading().hour_of_week
    assert week is not None
    assert len(week) == 168
    assert (week[9], week[167]) == (30, 7)
    assert [hour for hour, value in enumerate(week) if value is not None] == [9, 167]


def test_one_busy_week_of_four_is_an_exception_and_two_are_not() -> None:
    window = Window.before(NOW, 28)
    series = Series(question(wants_week=True), window)
    for week, (monday, tuesday) in enumerate([(90, 90), (1, 90), (2, 3), (3, 4)]):
        day = datetime(2026, 11, 2, 9, tzinfo=UTC) + timedelta(weeks=week)
        series.add(CPU, [(day, monday), (day + timedelta(days=1), tuesday)])
    by_hour = series.reading().hour_of_week
    assert by_hour is not None
    assert (by_hour[9], by_hour[24 + 9]) == (3, 90)


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=50), st.integers(1, 100))
def test_a_percentile_is_a_value_that_was_measured(values: list[float], percent: int) -> None:
    ordered = sorted(values)
    found = percentile(ordered, percent)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= math.ceil(percent * len(ordered) / 100)


@given(st.lists(st.integers(1, 8), max_size=60), st.integers(8, 40))
def test_batches_keep_questions_whole_and_never_exceed_a_call(sizes: list[int], size: int) -> None:
    asked = [question(resource_id=f"i-{n}", terms=(CPU,) * count) for n, count in enumerate(sizes)]
    made = list(batches(asked, size))
    assert [q for batch in made for q in batch] == asked
    assert all(sum(len(q.series) for q in batch) <= size for batch in made)
    assert all(made)


@pytest.mark.parametrize(
    ("kind", "state", "spec", "metrics"),
    [
        ("ec2_instance", "running", {}, ["cpu_percent", "network_bytes", "disk_ops"]),
        ("ec2_instance", "stopped", {}, []),
        ("ebs_volume", "in-use", {}, ["volume_ops"]),
        ("ebs_volume", "available", {}, []),
        (
            "rds_instance",
            "available",
            {},
            ["connections", "cpu_percent", "freeable_memory_bytes", "rds_iops"],
        ),
        ("nat_gateway", "available", {}, ["bytes_processed"]),
        ("nat_gateway", "deleting", {}, []),
        ("s3_bucket", "available", {}, ["bucket_size_bytes"]),
        (
            "load_balancer",
            "active",
            {"type": "application", "dimension": "app/x/1", "target_groups": ["targetgroup/t/1"]},
            ["request_count", "healthy_hosts"],
        ),
        (
            "load_balancer",
            "active",
            {"type": "application", "dimension": "app/x/1", "target_groups": []},
            ["request_count"],
        ),
        (
            "load_balancer",
            "active",
            {"type": "network", "dimension": "net/x/1", "target_groups": None},
            ["new_flows"],
        ),
        (
            "load_balancer",
            "active",
            {"type": "classic", "dimension": "x"},
            ["request_count", "healthy_hosts"],
        ),
        ("elastic_ip", "associated", {}, []),
    ],
)
def test_what_is_asked_about_each_kind(
    kind: str, state: str, spec: dict[str, Any], metrics: list[str]
) -> None:
    assert [q.metric for q in questions_of(kind, "id-1", state, spec)] == metrics


def test_memory_is_asked_by_the_agents_own_dimensions() -> None:
    dimensions = (("ImageId", "ami-1"), ("InstanceId", "i-1"))
    *_, memory = questions_of("ec2_instance", "i-1", "running", {}, dimensions)
    assert memory.metric == "memory_percent"
    assert {term.dimensions for term in memory.series} == {dimensions}
