"""Days that cost far more than such days do. Pure functions: no database, no AWS."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from statistics import median

Daily = Mapping[date, Decimal]

ZERO = Decimal(0)
NORMAL = Decimal("0.6745")  # makes the MAD of a normal distribution its standard deviation
HIGHEST_SCORE = Decimal("9999.99")  # a flat history has no spread: any rise is beyond measure
LARGEST_CONTRIBUTORS = 3


@dataclass(frozen=True)
class AnomalyParams:
    """When a day is unusual; the defaults are the product's."""

    history_days: int = 56  # eight weeks, so that each weekday is there eight times
    least_history_days: int = 21
    least_same_weekdays: int = 3  # fewer say nothing about this weekday: then all days do
    unsettled_days: int = 2  # today and yesterday: Cost Explorer still revises them
    judged_days: int = 14
    score: Decimal = Decimal("3.5")
    least_excess_usd: Decimal = Decimal(10)
    least_excess_share: Decimal = Decimal("0.2")
    mad_floor_share: Decimal = Decimal("0.05")


DEFAULTS = AnomalyParams()


@dataclass(frozen=True)
class Rise:
    """One service on one day, beside what such a day of it costs."""

    day: date
    service: str
    actual_usd: Decimal
    expected_usd: Decimal
    score: Decimal | None = None  # `None`: AWS found it and tells none
    source: str = "ours"

    @property
    def excess_usd(self) -> Decimal:
        return self.actual_usd - self.expected_usd


@dataclass(frozen=True)
class TheirAnomaly:
    """One that AWS found, on the day it began."""

    day: date
    service: str
    excess_usd: Decimal
    actual_usd: Decimal
    expected_usd: Decimal
    region: str = ""
    usage_type: str = ""


@dataclass(frozen=True)
class UnusualDay:
    """All rises of one day, the largest first."""

    day: date
    rises: Sequence[Rise]

    @property
    def contributors(self) -> Sequence[Rise]:
        return self.rises[:LARGEST_CONTRIBUTORS]

    @property
    def actual_usd(self) -> Decimal:
        return sum((rise.actual_usd for rise in self.rises), ZERO)

    @property
    def expected_usd(self) -> Decimal:
        return sum((rise.expected_usd for rise in self.rises), ZERO)

    @property
    def excess_usd(self) -> Decimal:
        return self.actual_usd - self.expected_usd

    @property
    def score(self) -> Decimal | None:
        return max((rise.score for rise in self.rises if rise.score is not None), default=None)

    @property
    def source(self) -> str:
        sources = {rise.source for rise in self.rises}
        return sources.pop() if len(sources) == 1 else "both"


def find_anomalies(
    costs: Mapping[str, Daily],
    *,
    known_days: Collection[date],
    today: date,
    params: AnomalyParams = DEFAULTS,
) -> list[UnusualDay]:
    """The unusual days among the last `judged_days` that are settled, oldest first.

    `costs`: unblended USD by service and day. A day in `known_days` without an entry cost nothing;
    a day that is not known is left out, never taken for zero. A level that stays is told once:
    a day is unusual only if it is also above the unusual day before it.
    """
    days = sorted(set(known_days))
    rises = [
        rise
        for service, daily in costs.items()
        for rise in _rises_of(service, daily, days, today, params)
    ]
    return group_by_day(rises)


def judged_range(today: date, params: AnomalyParams = DEFAULTS) -> tuple[date, date]:
    """The first and the last day that are judged."""
    last = today - timedelta(days=params.unsettled_days)
    return last - timedelta(days=params.judged_days - 1), last


def group_by_day(rises: Iterable[Rise]) -> list[UnusualDay]:
    by_day: dict[date, list[Rise]] = defaultdict(list)
    for rise in rises:
        by_day[rise.day].append(rise)
    return [
        UnusualDay(day, sorted(by_day[day], key=lambda rise: (-rise.excess_usd, rise.service)))
        for day in sorted(by_day)
    ]


def merge(ours: Iterable[UnusualDay], theirs: Iterable[TheirAnomaly]) -> list[UnusualDay]:
    """Both together: of the same day and service our figures stay, marked as found by both."""
    rises = {(rise.day, rise.service): rise for day in ours for rise in day.rises}
    for found in theirs:
        key = (found.day, found.service)
        if (known := rises.get(key)) is None:
            rises[key] = Rise(*key, found.actual_usd, found.expected_usd, source="aws")
        elif known.source == "ours":
            rises[key] = Rise(
                *key, known.actual_usd, known.expected_usd, known.score, source="both"
            )
    return group_by_day(rises.values())


def expected_usd(
    daily: Daily, day: date, known_days: Collection[date], params: AnomalyParams = DEFAULTS
) -> Decimal | None:
    """What such a day costs, by the days before it. `None`: too few of them are known."""
    baseline = _baseline(daily, day, sorted(set(known_days)), params)
    return None if baseline is None else baseline.expected


@dataclass(frozen=True)
class _Baseline:
    expected: Decimal
    spread: Decimal


def _rises_of(
    service: str, daily: Daily, days: Sequence[date], today: date, params: AnomalyParams
) -> Iterator[Rise]:
    first, last = judged_range(today, params)
    unusual_before: tuple[date, Decimal] | None = None
    # One day before the first that is told, to know whether its level only goes on.
    for day in [day for day in days if first - timedelta(days=1) <= day <= last]:
        rise = _judge(service, daily, day, days, params)
        if rise is None:
            continue
        goes_on = unusual_before is not None and not _is_above(
            rise.actual_usd, day, unusual_before, params
        )
        unusual_before = (day, rise.actual_usd)
        if not goes_on and day >= first:
            yield rise


def _is_above(usd: Decimal, day: date, before: tuple[date, Decimal], params: AnomalyParams) -> bool:
    """The day before was no unusual one, or this one rises above it as one must above usual."""
    day_before, usd_before = before
    if day - day_before > timedelta(days=1):
        return True
    return usd - usd_before >= _least_excess(usd_before, params)


def _judge(
    service: str, daily: Daily, day: date, days: Sequence[date], params: AnomalyParams
) -> Rise | None:
    usual = _baseline(daily, day, days, params)
    if usual is None:
        return None
    actual = daily.get(day, ZERO)
    excess = actual - usual.expected
    if excess < _least_excess(usual.expected, params):
        return None
    score = HIGHEST_SCORE
    if usual.spread:
        score = min(HIGHEST_SCORE, NORMAL * excess / usual.spread)
    if score < params.score:
        return None
    return Rise(day, service, actual, usual.expected, score)


def _baseline(
    daily: Daily, day: date, days: Sequence[date], params: AnomalyParams
) -> _Baseline | None:
    start = day - timedelta(days=params.history_days)
    history = [known for known in days if start <= known < day]
    if len(history) < params.least_history_days:
        return None
    values = {known: daily.get(known, ZERO) for known in history}
    level = median(values.values())
    by_weekday: dict[int, list[Decimal]] = defaultdict(list)
    for known, usd in values.items():
        by_weekday[known.weekday()].append(usd)
    usual = {
        weekday: median(same) if len(same) >= params.least_same_weekdays else level
        for weekday, same in by_weekday.items()
    }
    residuals = [usd - usual[known.weekday()] for known, usd in values.items()]
    shift = median(residuals)
    mad = median(abs(residual - shift) for residual in residuals)
    return _Baseline(
        expected=usual.get(day.weekday(), level) + shift,
        spread=max(mad, level * params.mad_floor_share),
    )


def _least_excess(usual: Decimal, params: AnomalyParams) -> Decimal:
    return max(params.least_excess_usd, usual * params.least_excess_share)
