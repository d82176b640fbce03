"""Unusual days, against tables worked by hand."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from scans.aws.anomalies import (
    Rise,
    TheirAnomaly,
    UnusualDay,
    expected_usd,
    find_anomalies,
    judged_range,
    merge,
)

TODAY = date(2026, 11, 24)  # a Tuesday
JUDGED = TODAY - timedelta(days=2)  # the newest day that is settled: a Sunday
EC2 = "Amazon Elastic Compute Cloud - Compute"
S3 = "Amazon Simple Storage Service"


def days_before(day: date, count: int) -> list[date]:
    return [day - timedelta(days=n) for n in range(count, 0, -1)]


def flat(usd: str, *, count: int = 56, until: date = JUDGED) -> dict[date, Decimal]:
    return {day: Decimal(usd) for day in days_before(until, count)}


def find(costs: dict[str, dict[date, Decimal]], known: set[date] | None = None) -> list[UnusualDay]:
    days = {day for daily in costs.values() for day in daily} if known is None else known
    return find_anomalies(costs, known_days=days, today=TODAY)


def test_a_doubled_day_is_found_with_its_excess() -> None:
    """By hand: usual 100; MAD 0, floor 5 % = 5; z = 0.6745 × 100 / 5 = 13.49."""
    (day,) = find({EC2: flat("100") | {JUDGED: Decimal(200)}})
    (rise,) = day.rises
    assert (day.day, rise.service, rise.source) == (JUDGED, EC2, "ours")
    assert [rise.actual_usd, rise.expected_usd, rise.excess_usd] == [200, 100, 100]
    assert rise.score == Decimal("13.49")


@pytest.mark.parametrize(
    ("usual", "usd", "is_found"),
    [
        ("100", "125.94", False),  # z = 0.6745 × 25.94 / 5 = 3.499
        ("100", "125.95", True),  # z = 3.501, and 25.95 is above 20
        ("20", "29.99", False),  # less than 10 USD more, though half as much again
        ("20", "30", True),
        ("1000", "1259.4", False),  # z = 3.499, 25.9 % more
        ("1000", "1259.5", True),
        ("0", "9.99", False),  # a service that was never used
        ("0", "10", True),
    ],
)
def test_a_rise_counts_by_score_dollars_and_share(usual: str, usd: str, is_found: bool) -> None:
    found = find({EC2: flat(usual) | {JUDGED: Decimal(usd)}})
    assert bool(found) is is_found


def test_noise_raises_what_counts_as_unusual() -> None:
    """By hand: weekdays alternate by 40 around 100 from week to week, so each weekday's median is
    100, all residuals are 20 off and MAD is 20: z of 200 is 0.6745 × 100 / 20 = 3.37, of 204 3.51.
    """
    costs = {
        day: Decimal(80 if (JUDGED - day).days % 14 < 7 else 120) for day in days_before(JUDGED, 56)
    }

    def score_of(usd: int) -> Decimal | None:
        found = find({EC2: costs | {JUDGED: Decimal(usd)}})
        return next((day.score for day in found if day.day == JUDGED), None)

    assert score_of(200) is None
    assert score_of(204) == Decimal("0.6745") * 104 / 20


def test_an_expensive_weekday_is_no_anomaly() -> None:
    """Sundays cost 500, other days 100: a Sunday of 500 is usual, a Saturday of 500 is not."""
    costs = {day: Decimal(500 if day.weekday() == 6 else 100) for day in days_before(TODAY, 60)}
    assert find({EC2: costs}) == []
    saturday = JUDGED - timedelta(days=1)
    (day,) = find({EC2: costs | {saturday: Decimal(500)}})
    assert [day.day, day.expected_usd] == [saturday, 100]


def test_today_and_yesterday_are_not_judged_yet() -> None:
    unsettled = {TODAY: Decimal(900), TODAY - timedelta(days=1): Decimal(900)}
    assert find({EC2: flat("100", until=TODAY) | unsettled}) == []


@pytest.mark.parametrize(("history", "is_found"), [(20, False), (21, True)])
def test_three_weeks_of_history_are_needed(history: int, is_found: bool) -> None:
    costs = flat("100", count=history) | {JUDGED: Decimal(900)}
    assert bool(find({EC2: costs})) is is_found


def test_a_missing_day_is_not_taken_for_a_free_one() -> None:
    """Each second day is known. Taken for free, the others would halve what is usual: each weekday
    has four of 0 and four of 100 in eight weeks."""
    costs = {day: usd for day, usd in flat("100").items() if (JUDGED - day).days % 2}
    assert expected_usd(costs, JUDGED, set(costs)) == 100
    assert expected_usd(costs, JUDGED, set(flat("1"))) == 50
    assert find({EC2: costs | {JUDGED: Decimal(100)}}) == []


def test_a_day_nobody_told_of_is_not_judged() -> None:
    assert find({EC2: flat("100")}, known=set(flat("100"))) == []


def test_a_service_that_vanishes_is_no_rise() -> None:
    costs = flat("100") | {JUDGED: Decimal(0)}
    assert find({EC2: costs, S3: flat("1") | {JUDGED: Decimal(1)}}) == []


def test_history_older_than_eight_weeks_says_nothing() -> None:
    """56 days at 100 after a year at 900: 300 is unusual."""
    old = flat("900", count=300, until=JUDGED - timedelta(days=56))
    (day,) = find({EC2: old | flat("100") | {JUDGED: Decimal(300)}})
    assert day.expected_usd == 100


def test_a_level_that_stays_is_told_once() -> None:
    new_level = {JUDGED - timedelta(days=n): Decimal(300) for n in range(5)}
    (day,) = find({EC2: flat("100", count=60) | new_level})
    assert day.day == JUDGED - timedelta(days=4)


def test_a_further_rise_is_told_again() -> None:
    """200, then 230 (15 % more), then 290 (26 % more)."""
    three = [JUDGED - timedelta(days=n) for n in (2, 1, 0)]
    rising = dict(zip(three, map(Decimal, (200, 230, 290)), strict=True))
    assert [day.day for day in find({EC2: flat("100", count=60) | rising})] == [three[0], three[2]]


def test_rises_of_one_day_are_one_with_the_three_largest_first() -> None:
    usual = {name: flat("100") for name in "abcd"}
    for excess, name in enumerate("abcd", start=1):
        usual[name][JUDGED] = Decimal(100 + 100 * excess)
    (day,) = find(usual)
    assert [rise.service for rise in day.rises] == ["d", "c", "b", "a"]
    assert [rise.service for rise in day.contributors] == ["d", "c", "b"]
    assert [day.actual_usd, day.expected_usd, day.excess_usd] == [1400, 400, 1000]


def test_a_revision_moves_the_figures_and_takes_an_anomaly_back() -> None:
    costs = flat("100") | {JUDGED: Decimal(200)}
    assert find({EC2: costs})[0].excess_usd == 100
    assert find({EC2: costs | {JUDGED: Decimal(180)}})[0].excess_usd == 80
    assert find({EC2: costs | {JUDGED: Decimal(101)}}) == []


def test_two_weeks_are_judged() -> None:
    assert judged_range(TODAY) == (date(2026, 11, 9), date(2026, 11, 22))


def test_aws_and_we_may_find_the_same() -> None:
    ours = [UnusualDay(JUDGED, [Rise(JUDGED, EC2, Decimal(200), Decimal(100), Decimal(9))])]
    same = TheirAnomaly(JUDGED, EC2, Decimal(90), Decimal(190), Decimal(100))
    other = TheirAnomaly(JUDGED, S3, Decimal(30), Decimal(40), Decimal(10))
    earlier = TheirAnomaly(JUDGED - timedelta(days=3), S3, Decimal(5), Decimal(6), Decimal(1))
    first, second = merge(ours, [same, other, earlier, same])
    assert (first.day, first.source, first.score) == (earlier.day, "aws", None)
    assert [(rise.service, rise.source) for rise in second.rises] == [(EC2, "both"), (S3, "aws")]
    assert [second.excess_usd, second.source, second.score] == [130, "both", 9]
