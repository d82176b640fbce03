"""What an account cost and will cost, for its page: cached under its cache generation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.core.cache import cache
from django.db.models import Max, Sum
from django.utils import timezone

from scans.models import Account, CostFetch, CostForecast, CostMetric, CostRecord

KEPT_SECONDS = 24 * 60 * 60  # a new generation or a new day has a new key
DAYS = 30
LARGEST_SERVICES = 50
ZERO = Decimal(0)


@dataclass(frozen=True)
class ServiceCost:
    service: str
    usd: Decimal


@dataclass(frozen=True)
class CostSummary:
    """Unblended USD. `None` where Cost Explorer told nothing, which is not the same as nothing
    spent; `fetched_at`: when it was last asked."""

    month_to_date_usd: Decimal | None
    last_30_days_usd: Decimal | None
    by_service: Sequence[ServiceCost] = ()
    forecast_usd: Decimal | None = None
    forecast_low_usd: Decimal | None = None
    forecast_high_usd: Decimal | None = None
    forecast_basis: str = ""
    last_day: date | None = None
    fetched_at: datetime | None = None


def cost_summary(account: Account) -> CostSummary:
    """At most four queries, none for what is cached."""
    today = timezone.now().date()
    key = f"scans:costs:{account.pk}:{account.cache_generation}:{today}"
    known: CostSummary | None = cache.get(key)
    if known is None:
        known = _summarize(account, today)
        cache.set(key, known, KEPT_SECONDS)
    return known


def _summarize(account: Account, today: date) -> CostSummary:
    records = CostRecord.objects.filter(account=account, metric=CostMetric.UNBLENDED).by_service()
    told = records.aggregate(last=Max("date"))
    if told["last"] is None:
        return CostSummary(None, None, fetched_at=_fetched_at(account))
    month = records.filter(date__gte=today.replace(day=1), date__lte=today)
    days = records.filter(date__gte=today - timedelta(days=DAYS), date__lt=today)
    rows = days.order_by().values("service").annotate(usd=Sum("amount_usd")).order_by("-usd")
    services = [ServiceCost(row["service"], row["usd"]) for row in rows]
    forecast = CostForecast.objects.filter(account=account, month=today.replace(day=1)).first()
    return CostSummary(
        month_to_date_usd=month.aggregate(usd=Sum("amount_usd"))["usd"] or ZERO,
        last_30_days_usd=sum((service.usd for service in services), ZERO),
        by_service=services[:LARGEST_SERVICES],
        forecast_usd=forecast.amount_usd if forecast else None,
        forecast_low_usd=forecast.low_usd if forecast else None,
        forecast_high_usd=forecast.high_usd if forecast else None,
        forecast_basis=forecast.basis if forecast else "",
        last_day=told["last"],
        fetched_at=_fetched_at(account),
    )


def _fetched_at(account: Account) -> datetime | None:
    fetches = CostFetch.objects.filter(account=account)
    latest: datetime | None = fetches.aggregate(at=Max("fetched_at"))["at"]
    return latest
