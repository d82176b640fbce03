"""Savings Plans and reservations: what they covered, how well they were used, when they end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from scans.models import Account, Commitment, CommitmentCoverage, CommitmentKind

ENDS_SOON = timedelta(days=30)
HOURS_PER_DAY = 24
STEADY_SHARE = Decimal("0.1")  # of the days at most that may have had less
ZERO, ONE = Decimal(0), Decimal(1)


@dataclass(frozen=True)
class Covered:
    """What a kind of commitment covered of the usage it could have, at on-demand price."""

    kind: CommitmentKind
    coverage: Decimal | None = None
    covered_usd: Decimal | None = None
    uncovered_usd: Decimal | None = None
    steady_uncovered_hourly_usd: Decimal | None = None


@dataclass(frozen=True)
class Used:
    """How much of a kind of commitment was used, and each of them."""

    kind: CommitmentKind
    utilization: Decimal | None = None
    unused_usd: Decimal | None = None
    commitments: Sequence[CommitmentRow] = ()


@dataclass(frozen=True)
class CommitmentRow:
    commitment_id: str
    description: str = ""
    region: str = ""
    ends_at: datetime | None = None
    utilization: Decimal | None = None
    monthly_usd: Decimal | None = None


@dataclass(frozen=True)
class CommitmentFacts:
    """What rules need to know. `coverage` is `None` where Cost Explorer did not say."""

    coverage: Decimal | None
    savings_plans_coverage: Decimal | None
    uncovered_monthly_usd: Decimal | None
    steady_uncovered_hourly_usd: Decimal | None
    ending_soon: tuple[Commitment, ...] = ()


def commitment_facts(account: Account, now: datetime) -> CommitmentFacts:
    """As the last refresh stored it: two queries."""
    known = {row.kind: row for row in CommitmentCoverage.objects.filter(account=account)}
    plans = known.get(CommitmentKind.SAVINGS_PLANS)
    reserved = known.get(CommitmentKind.RESERVED)
    ending = Commitment.objects.filter(
        account=account, ends_at__gt=now, ends_at__lte=now + ENDS_SOON
    )
    return CommitmentFacts(
        coverage=combined_coverage(
            plans.coverage if plans else None, reserved.coverage if reserved else None
        ),
        savings_plans_coverage=plans.coverage if plans else None,
        uncovered_monthly_usd=plans.uncovered_usd if plans else None,
        steady_uncovered_hourly_usd=plans.steady_uncovered_hourly_usd if plans else None,
        ending_soon=tuple(ending),
    )


def combined_coverage(plans: Decimal | None, reserved: Decimal | None) -> Decimal | None:
    """The share of usage covered by either: Savings Plans apply to what reservations leave.

    `None` when neither is known; one alone stands for both, at least that much is covered.
    """
    if plans is None and reserved is None:
        return None
    return ONE - (ONE - (plans or ZERO)) * (ONE - (reserved or ZERO))


def steady_hourly(daily_usd: Sequence[Decimal]) -> Decimal | None:
    """USD an hour that nine days of ten had at least (p10, the lower neighbour)."""
    if not daily_usd:
        return None
    ranked = sorted(daily_usd)
    return ranked[int(len(ranked) * STEADY_SHARE)] / HOURS_PER_DAY


def plans_covered(days: Iterable[Mapping[str, Any]]) -> Covered:
    """From the daily `SavingsPlansCoverages` of GetSavingsPlansCoverage."""
    covered = uncovered = ZERO
    daily: list[Decimal] = []
    for day in days:
        of_day = day.get("Coverage", {})
        on_demand = _decimal(of_day.get("OnDemandCost")) or ZERO
        covered += _decimal(of_day.get("SpendCoveredBySavingsPlans")) or ZERO
        uncovered += on_demand
        daily.append(on_demand)
    total = covered + uncovered
    return Covered(
        kind=CommitmentKind.SAVINGS_PLANS,
        coverage=covered / total if total else None,
        covered_usd=covered,
        uncovered_usd=uncovered,
        steady_uncovered_hourly_usd=steady_hourly(daily),
    )


def reservations_covered(total: Mapping[str, Any]) -> Covered:
    """From the `Total` of GetReservationCoverage: shares are of hours, which is all it tells."""
    hours = total.get("CoverageHours", {})
    running = _decimal(hours.get("TotalRunningHours")) or ZERO
    reserved = _decimal(hours.get("ReservedHours")) or ZERO
    return Covered(
        kind=CommitmentKind.RESERVED,
        coverage=reserved / running if running else None,
        uncovered_usd=_decimal(total.get("CoverageCost", {}).get("OnDemandCost")),
    )


def plans_used(total: Mapping[str, Any], details: Iterable[Mapping[str, Any]]) -> Used:
    """From GetSavingsPlansUtilizationDetails."""
    used = total.get("Utilization", {})
    return Used(
        kind=CommitmentKind.SAVINGS_PLANS,
        utilization=_share(used.get("UtilizationPercentage")),
        unused_usd=_decimal(used.get("UnusedCommitment")),
        commitments=[_plan(detail) for detail in details],
    )


def reservations_used(total: Mapping[str, Any], groups: Iterable[Mapping[str, Any]]) -> Used:
    """From GetReservationUtilization grouped by subscription."""
    return Used(
        kind=CommitmentKind.RESERVED,
        utilization=_share(total.get("UtilizationPercentage")),
        unused_usd=_decimal(total.get("RICostForUnusedHours")),
        commitments=[_reservation(group) for group in groups],
    )


def keep_covered(account: Account, covered: Covered, start: datetime, end: datetime) -> None:
    CommitmentCoverage.objects.update_or_create(
        account=account,
        kind=covered.kind,
        defaults={
            "tenant_id": account.tenant_id,
            "period_start": start.date(),
            "period_end": end.date(),
            "coverage": covered.coverage,
            "covered_usd": covered.covered_usd,
            "uncovered_usd": covered.uncovered_usd,
            "steady_uncovered_hourly_usd": covered.steady_uncovered_hourly_usd,
            "computed_at": timezone.now(),
        },
    )


def keep_used(account: Account, used: Used, start: datetime, end: datetime) -> None:
    """Those no longer named have ended or were not used: they are forgotten."""
    now = timezone.now()
    figures = {"utilization": used.utilization, "unused_usd": used.unused_usd, "computed_at": now}
    period = {"period_start": start.date(), "period_end": end.date()}
    CommitmentCoverage.objects.update_or_create(
        account=account,
        kind=used.kind,
        defaults={"tenant_id": account.tenant_id, **figures},
        create_defaults={"tenant_id": account.tenant_id, **period, **figures},
    )
    by_id = {row.commitment_id: row for row in used.commitments}
    Commitment.objects.bulk_create(
        [_commitment(account, used.kind, by_id[key], now) for key in sorted(by_id)],
        update_conflicts=True,
        unique_fields=["account", "kind", "commitment_id"],
        update_fields=[
            "description",
            "region",
            "ends_at",
            "utilization",
            "monthly_usd",
            "seen_at",
        ],
    )
    Commitment.objects.filter(account=account, kind=used.kind, seen_at__lt=now).delete()


def _commitment(
    account: Account, kind: CommitmentKind, row: CommitmentRow, now: datetime
) -> Commitment:
    return Commitment(
        tenant_id=account.tenant_id,
        account=account,
        kind=kind,
        commitment_id=row.commitment_id,
        description=row.description[:255],
        region=row.region[:40],
        ends_at=row.ends_at,
        utilization=row.utilization,
        monthly_usd=row.monthly_usd,
        seen_at=now,
    )


def _plan(detail: Mapping[str, Any]) -> CommitmentRow:
    facts = _attributes(detail)
    hourly = _decimal(facts.get("hourlycommitment"))
    named = (facts.get("savingsplanstype"), facts.get("instancefamily"), facts.get("purchaseterm"))
    return CommitmentRow(
        commitment_id=str(detail.get("SavingsPlanArn", ""))[-255:],
        description=" ".join(word for word in named if word),
        region=facts.get("region", ""),
        ends_at=_instant(facts.get("enddatetime")),
        utilization=_share(detail.get("Utilization", {}).get("UtilizationPercentage")),
        monthly_usd=None if hourly is None else hourly * 730,
    )


def _reservation(group: Mapping[str, Any]) -> CommitmentRow:
    facts = _attributes(group)
    count = facts.get("numberofinstances", "")
    named = (f"{count} ×" if count else "", facts.get("instancetype"), facts.get("service"))
    fee = _decimal(group.get("Utilization", {}).get("TotalAmortizedFee"))
    return CommitmentRow(
        commitment_id=str(facts.get("subscriptionid") or group.get("Value", ""))[-255:],
        description=" ".join(word for word in named if word),
        region=facts.get("region", ""),
        ends_at=_instant(facts.get("enddatetime")),
        utilization=_share(group.get("Utilization", {}).get("UtilizationPercentage")),
        monthly_usd=fee,
    )


def _attributes(described: Mapping[str, Any]) -> dict[str, str]:
    """AWS writes some names with a capital and some without."""
    return {str(k).lower(): str(v) for k, v in (described.get("Attributes") or {}).items()}


def _instant(text: str | None) -> datetime | None:
    try:
        instant = parse_datetime(text) if text else None
    except ValueError:
        return None
    if instant is None or instant.tzinfo is not None:
        return instant
    return instant.replace(tzinfo=UTC)


def _share(percent: str | None) -> Decimal | None:
    known = _decimal(percent)
    return None if known is None else known / 100


def _decimal(text: str | None) -> Decimal | None:
    if not text:
        return None
    found = Decimal(text)
    return found if found.is_finite() else None
