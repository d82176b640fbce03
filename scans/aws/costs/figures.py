"""A month's money of some accounts, past and to come, from what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from scans.aws.costs.explorer import next_month
from scans.aws.costs.forecast import HISTORY_DAYS, forecast_by_weekday, month_to_date
from scans.aws.costs.records import daily_totals
from scans.models import Account, CostForecast, CostRecord

ZERO = Decimal(0)


@dataclass(frozen=True)
class MonthFigures:
    """`forecast_usd`: the whole month; `None` where an account has too little history."""

    actual_usd: Decimal
    forecast_usd: Decimal | None


def month_figures(accounts: Sequence[Account], today: date, *, service: str = "") -> MonthFigures:
    """Today's part counts to what is spent: a budget is passed when it is passed."""
    actual = ZERO
    forecasts: list[Decimal | None] = []
    with_costs = set(
        CostRecord.objects.filter(account__in=accounts)
        .order_by()
        .values_list("account", flat=True)
        .distinct()
    )
    for account in accounts:
        if account.pk not in with_costs:
            continue  # nothing was ever told of it: it counts nothing, and no forecast is lost
        start = min(today - timedelta(days=HISTORY_DAYS), today.replace(day=1))
        daily = daily_totals(account, start, next_month(today), service=service)
        actual += month_to_date(daily, today) + daily.get(today, ZERO)
        forecasts.append(_forecast(account, daily, today, service))
    known = [usd for usd in forecasts if usd is not None]
    is_whole = len(known) == len(forecasts)
    return MonthFigures(actual, sum(known, ZERO) if known and is_whole else None)


def _forecast(
    account: Account, daily: dict[date, Decimal], today: date, service: str
) -> Decimal | None:
    if not service:
        stored = CostForecast.objects.filter(account=account, month=today.replace(day=1)).first()
        if stored is not None:
            usd: Decimal = stored.amount_usd
            return usd
    found = forecast_by_weekday(daily, today)
    return None if found is None else found.usd
