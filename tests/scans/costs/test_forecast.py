"""What a month will have cost, against tables worked by hand."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from scans.aws.costs.explorer import Remainder, next_month
from scans.aws.costs.forecast import forecast_by_aws, forecast_by_weekday, month_to_date
from scans.models import ForecastBasis

TODAY = date(2026, 11, 24)  # a Tuesday; 7 days are left, one of each weekday
CENT = Decimal("0.01")


def daily(count: int, usd: int = 10) -> dict[date, Decimal]:
    return {TODAY - timedelta(days=n): Decimal(usd) for n in range(1, count + 1)}


def test_a_level_month_goes_on_level() -> None:
    """23 days spent at 10, 7 to come at 10."""
    found = forecast_by_weekday(daily(56), TODAY)
    assert found is not None
    assert [found.month, found.usd, found.basis] == [date(2026, 11, 1), 300, ForecastBasis.WEEKDAY]
    assert [found.low_usd, found.high_usd] == [300, 300]


def test_weekdays_cost_what_they_usually_do() -> None:
    """Sundays 80, other days 10: the last week of November is 6 × 10 + 80, on a level line."""
    costs = {day: Decimal(80 if day.weekday() == 6 else 10) for day in daily(21)}
    found = forecast_by_weekday(costs, TODAY)
    assert found is not None
    # Three of each weekday are known, from the 3rd on: 18 × 10 + 3 × 80 spent.
    assert found.usd.quantize(CENT) == 420 + 140


def test_growth_goes_on() -> None:
    """Day n of 56 cost n USD: 34 + … + 56 were spent in November, 57 + … + 63 are to come."""
    costs = {day: Decimal(56 - (TODAY - day).days + 1) for day in daily(56)}
    found = forecast_by_weekday(costs, TODAY)
    assert found is not None
    assert month_to_date(costs, TODAY) == sum(range(34, 57)) == 1035
    # Weekdays take up a little of the line's rest; the sum differs by less than a part in 1,000.
    assert abs(found.usd - (1035 + 420)) < 1


def test_a_falling_line_never_goes_below_nothing() -> None:
    costs = {day: Decimal(max(0, (TODAY - day).days - 20)) for day in daily(56)}
    found = forecast_by_weekday(costs, TODAY)
    assert found is not None
    assert found.usd >= month_to_date(costs, TODAY)


def test_a_missing_day_is_not_a_free_one() -> None:
    """Every second day is unknown: the rest is forecast at 10 a day, not at 5."""
    costs = {day: usd for day, usd in daily(56).items() if (TODAY - day).days % 2}
    found = forecast_by_weekday(costs, TODAY)
    assert found is not None
    assert found.usd == month_to_date(costs, TODAY) + 70


def test_less_than_a_week_is_too_little() -> None:
    assert forecast_by_weekday(daily(6), TODAY) is None
    assert forecast_by_weekday(daily(7), TODAY) is not None


def test_today_is_forecast_whole_whatever_is_spent_of_it() -> None:
    costs = daily(56) | {TODAY: Decimal(1)}
    found = forecast_by_weekday(costs, TODAY)
    assert found is not None
    assert found.usd == 300


def test_cost_explorers_rest_is_added_to_what_was_spent() -> None:
    rest = Remainder(TODAY, Decimal("70.5"), Decimal(60), Decimal(90))
    found = forecast_by_aws(daily(56) | {TODAY: Decimal(4)}, rest)
    assert [found.usd, found.low_usd, found.high_usd] == [Decimal("300.5"), 290, 320]
    assert found.basis == ForecastBasis.AWS


def test_months_follow_each_other() -> None:
    assert next_month(date(2026, 12, 31)) == date(2027, 1, 1)
    assert next_month(date(2028, 2, 1)) == date(2028, 3, 1)
