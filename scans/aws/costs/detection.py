"""Keeps what is unusual about an account's days: found, found again, or withdrawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from scans.aws.anomalies import (
    DEFAULTS,
    LARGEST_CONTRIBUTORS,
    Daily,
    Rise,
    TheirAnomaly,
    UnusualDay,
    expected_usd,
    find_anomalies,
    judged_range,
    merge,
)
from scans.aws.costs.explorer import REGION, SERVICE
from scans.aws.costs.records import daily_by, known_days
from scans.models import Account, AnomalySource, CostAnomaly

CENT_PLACES = 2


def keep_anomalies(account: Account, today: date, theirs: Sequence[TheirAnomaly] | None) -> None:
    """Judge the last two weeks anew. Rows follow revised costs, and what no longer is unusual is
    withdrawn. `theirs` is `None` when AWS was not asked or did not answer: what it found before
    then stays."""
    first, last = judged_range(today)
    start = first - timedelta(days=DEFAULTS.history_days + 1)
    costs = daily_by(account, start, last + timedelta(days=1), SERVICE)
    known = known_days(list(costs.values()))
    ours = find_anomalies(costs, known_days=known, today=today)
    if theirs is None:
        theirs = _found_before(account, first)
    # Older ones stay as they were judged.
    found = merge(ours, [anomaly for anomaly in theirs if first <= anomaly.day <= today])
    regions = daily_by(account, start, last + timedelta(days=1), REGION) if found else {}
    for day in found:
        _keep(account, day, _largest_regions(regions, day.day, known))
    over = CostAnomaly.objects.standing().filter(account=account, date__range=(first, today))
    over.exclude(date__in=[day.day for day in found]).update(withdrawn_at=timezone.now())


def _found_before(account: Account, first: date) -> list[TheirAnomaly]:
    """What AWS told of earlier, as far as the rows hold it."""
    rows = CostAnomaly.objects.standing().filter(account=account, date__gte=first)
    return [
        TheirAnomaly(
            day=row.date,
            service=told["service"],
            excess_usd=Decimal(told["excess_usd"]),
            actual_usd=Decimal(told["actual_usd"]),
            expected_usd=Decimal(told["expected_usd"]),
        )
        for row in rows.exclude(source=AnomalySource.OURS)
        for told in row.contributors
        if told["source"] != AnomalySource.OURS
    ]


def _keep(account: Account, day: UnusualDay, regions: list[dict[str, str]]) -> None:
    now = timezone.now()
    figures: dict[str, Any] = {
        "tenant_id": account.tenant_id,
        "source": day.source,
        "service": day.rises[0].service[:120],
        "actual_usd": day.actual_usd,
        "expected_usd": day.expected_usd,
        "excess_usd": day.excess_usd,
        "score": day.score,
        "contributors": [_contributor(rise) for rise in day.contributors],
        "regions": regions,
        "services_count": len(day.rises),
        "last_seen_at": now,
        "withdrawn_at": None,
    }
    CostAnomaly.objects.update_or_create(account=account, date=day.day, defaults=figures)


def _contributor(rise: Rise) -> dict[str, str | None]:
    return {
        "service": rise.service,
        "actual_usd": _usd(rise.actual_usd),
        "expected_usd": _usd(rise.expected_usd),
        "excess_usd": _usd(rise.excess_usd),
        "score": None if rise.score is None else _usd(rise.score),
        "source": rise.source,
    }


def _largest_regions(
    regions: Mapping[str, Daily], day: date, known: set[date]
) -> list[dict[str, str]]:
    """Where it rose, by the same measure of usual."""
    rises = []
    for region, daily in regions.items():
        usual = expected_usd(daily, day, known)
        if usual is not None and (excess := daily.get(day, usual) - usual) > 0:
            rises.append((excess, region))
    largest = sorted(rises, reverse=True)[:LARGEST_CONTRIBUTORS]
    return [{"region": region, "excess_usd": _usd(excess)} for excess, region in largest]


def _usd(amount: Any) -> str:
    return str(round(amount, CENT_PLACES))
