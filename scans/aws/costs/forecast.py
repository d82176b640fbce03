"""What a month will have cost: as Cost Explorer expects, else by weekdays and a straight line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from scans.aws.costs.explorer import Remainder, next_month
from scans.models import ForecastBasis

HISTORY_DAYS = 56
LEAST_DAYS = 7  # fewer know no weekday
LEAST_DAYS_OF_TREND = 28  # a line through fewer leads anywhere
EIGHTY_PERCENT = Decimal("1.2816")
ZERO = Decimal(0)


@dataclass(frozen=True)
class MonthForecast:
    """USD of the whole month, past days included."""

    month: date
    usd: Decimal
    low_usd: Decimal
    high_usd: Decimal
    basis: ForecastBasis


def month_to_date(daily: Mapping[date, Decimal], today: date) -> Decimal:
    """The complete days of the month: today is still being spent."""
    first = today.replace(day=1)
    return sum((usd for day, usd in daily.items() if first <= day < today), ZERO)


def forecast_by_aws(daily: Mapping[date, Decimal], remainder: Remainder) -> MonthForecast:
    """What was spent plus what Cost Explorer expects of the rest."""
    spent = month_to_date(daily, remainder.start)
    return MonthForecast(
        month=remainder.start.replace(day=1),
        usd=spent + remainder.usd,
        low_usd=spent + remainder.low_usd,
        high_usd=spent + remainder.high_usd,
        basis=ForecastBasis.AWS,
    )


def forecast_by_weekday(daily: Mapping[date, Decimal], today: date) -> MonthForecast | None:
    """What was spent plus, for each day left, what its weekday usually is on the line through the
    last eight weeks. From 7 known days on; the line is level below 28. 80 % interval.

    `None`: too few days are known. Days nobody told of are left out, also of what was spent.
    """
    history = {
        day: usd
        for day, usd in daily.items()
        if today - timedelta(days=HISTORY_DAYS) <= day < today
    }
    if len(history) < LEAST_DAYS:
        return None
    line = _fit(history)
    left = [today + timedelta(days=n) for n in range((next_month(today) - today).days)]
    rest = sum((max(ZERO, line.at(day)) for day in left), ZERO)
    spread = EIGHTY_PERCENT * line.deviation * Decimal(len(left)).sqrt()
    spent = month_to_date(daily, today)
    return MonthForecast(
        month=today.replace(day=1),
        usd=spent + rest,
        low_usd=spent + max(ZERO, rest - spread),
        high_usd=spent + rest + spread,
        basis=ForecastBasis.WEEKDAY,
    )


@dataclass(frozen=True)
class _Line:
    """USD of a day = level + slope × days after `origin` + what its weekday adds."""

    origin: date
    level: Decimal
    slope: Decimal
    weekdays: Mapping[int, Decimal]
    deviation: Decimal = ZERO

    def at(self, day: date) -> Decimal:
        trend = self.level + self.slope * (day - self.origin).days
        return trend + self.weekdays.get(day.weekday(), ZERO)


def _fit(history: Mapping[date, Decimal]) -> _Line:
    origin = min(history)
    level = _mean(history.values())
    slope = ZERO
    if len(history) >= LEAST_DAYS_OF_TREND:
        slope = _slope(history, origin, level)
        level -= slope * _mean(Decimal((day - origin).days) for day in history)
    trend = _Line(origin, level, slope, {})
    beside: dict[int, list[Decimal]] = defaultdict(list)
    for day, usd in history.items():
        beside[day.weekday()].append(usd - trend.at(day))
    line = _Line(origin, level, slope, {day: _mean(each) for day, each in beside.items()})
    squares = _mean((usd - line.at(day)) ** 2 for day, usd in history.items())
    return _Line(origin, level, slope, line.weekdays, squares.sqrt())


def _slope(history: Mapping[date, Decimal], origin: date, mean_usd: Decimal) -> Decimal:
    """Least squares."""
    days = {day: Decimal((day - origin).days) for day in history}
    mean_day = _mean(days.values())
    spread = sum(((days[day] - mean_day) ** 2 for day in history), ZERO)
    shared = sum(((days[day] - mean_day) * (usd - mean_usd) for day, usd in history.items()), ZERO)
    return shared / spread if spread else ZERO


def _mean(values: Iterable[Decimal]) -> Decimal:
    each = list(values)
    return sum(each, ZERO) / len(each)
