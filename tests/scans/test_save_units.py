"""Units and the calls they count, in one transaction."""

from __future__ import annotations

from collections import Counter

import pytest
from pytest_django import DjangoAssertNumQueries

from hostmaster.core.metrics.models import Counter as MetricCounter
from scans.aws.errors import Outcome, UnitOutcome
from scans.aws.units import UnitReport, merged, save_units
from tests.factories import make_scan_job

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

OK = UnitOutcome(Outcome.OK)
DENIED = UnitOutcome(Outcome.DENIED, "AccessDenied", "No.", "ec2:DescribeInstances")


def report(outcome: UnitOutcome = OK, region: str = "eu-west-1", **answers: int) -> UnitReport:
    return UnitReport("ec2", "DescribeInstances", region, outcome, 3, 20, Counter(answers))


def counted() -> dict[str, float]:
    rows = MetricCounter.objects.filter(name="aws_calls_total")
    return {row.labels: row.value for row in rows}


def test_units_are_stored_and_their_calls_counted_by_outcome() -> None:
    job = make_scan_job()
    save_units(job, [report(ok=2, throttled=1), report(DENIED, "us-east-1", denied=1)])
    first, second = job.units.order_by("region")
    assert (first.outcome, first.calls, first.throttled, first.rows) == ("ok", 3, 1, 3)
    assert (second.outcome, second.missing_action) == ("denied", "ec2:DescribeInstances")
    assert counted() == {
        '{"outcome":"ok","service":"ec2"}': 2,
        '{"outcome":"throttled","service":"ec2"}': 1,
        '{"outcome":"denied","service":"ec2"}': 1,
    }


def test_a_unit_written_again_is_the_later_one() -> None:
    job = make_scan_job()
    save_units(job, [report(ok=1)])
    save_units(job, [report(DENIED, denied=1)])
    assert job.units.get().outcome == "denied"


def test_nothing_to_write_is_no_statement(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    job = make_scan_job()
    with django_assert_num_queries(0):
        save_units(job, [])


def test_parts_of_a_unit_are_as_bad_as_the_worse() -> None:
    both = merged(report(ok=2), report(DENIED, denied=1))
    assert (both.outcome, both.rows, both.duration_ms) == (DENIED, 6, 40)
    assert both.answers == {"ok": 2, "denied": 1}
    assert merged(report(DENIED), report()).outcome == DENIED
