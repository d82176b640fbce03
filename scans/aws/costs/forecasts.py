"""Keeps the month's forecast."""

from __future__ import annotations

from datetime import date, timedelta

from django.utils import timezone

from scans.aws.costs.explorer import Remainder, next_month
from scans.aws.costs.forecast import (
    HISTORY_DAYS,
    MonthForecast,
    forecast_by_aws,
    forecast_by_weekday,
)
from scans.aws.costs.records import daily_totals
from scans.models import Account, CostForecast, ForecastBasis


def keep_forecast(account: Account, today: date, remainder: Remainder | None) -> None:
    """By Cost Explorer where it told what remains, else by weekdays; one of Cost Explorer's that
    is of today is not replaced by ours."""
    forecast = _forecast(account, today, remainder)
    if forecast is None:
        return
    if forecast.basis == ForecastBasis.WEEKDAY and _has_of_today(account, today):
        return
    CostForecast.objects.update_or_create(
        account=account,
        month=forecast.month,
        defaults={
            "tenant_id": account.tenant_id,
            "amount_usd": forecast.usd,
            "low_usd": forecast.low_usd,
            "high_usd": forecast.high_usd,
            "basis": forecast.basis,
            "made_at": timezone.now(),
        },
    )


def _forecast(account: Account, today: date, remainder: Remainder | None) -> MonthForecast | None:
    start = min(today - timedelta(days=HISTORY_DAYS), today.replace(day=1))
    daily = daily_totals(account, start, next_month(today))
    if remainder is not None:
        return forecast_by_aws(daily, remainder)
    return forecast_by_weekday(daily, today)


def _has_of_today(account: Account, today: date) -> bool:
    return CostForecast.objects.filter(
        account=account,
        month=today.replace(day=1),
        basis=ForecastBasis.AWS,
        made_at__date=today,
    ).exists()
