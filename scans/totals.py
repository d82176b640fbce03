"""What an account comes to: counts, cost and savings, cached under its cache generation."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from django.core.cache import cache
from django.db.models import Avg, Count, Exists, Max, OuterRef, Sum, Value
from django.db.models.functions import Coalesce, NullIf
from django.utils import timezone

from scans.models import Account, Instance, InventoryItem, MetricSummary, Recommendation, Resource

KEPT_SECONDS = 24 * 60 * 60  # a new generation has a new key, so age alone makes nothing wrong
ZERO = Decimal(0)


@dataclass(frozen=True)
class AccountTotals:
    """Figures a month, at list price; what has no known price counts nothing. `cpu_percent`: the
    mean of the instances whose usage is known; `None`: of none."""

    instances: int = 0
    resources: int = 0
    findings: int = 0
    monthly_usd: Decimal = ZERO
    saving_low_usd: Decimal = ZERO
    saving_high_usd: Decimal = ZERO
    cpu_percent: float | None = None


def totals_of(accounts: Iterable[Account]) -> dict[uuid.UUID, AccountTotals]:
    """The totals of each, at most four queries for all that no cache holds."""
    keys = {_key(account): account.pk for account in accounts}
    cached = cache.get_many(keys)
    found = {keys[key]: totals for key, totals in cached.items()}
    missing = [pk for pk in keys.values() if pk not in found]
    if missing:
        counted = _count(missing)
        cache.set_many(
            {key: counted[pk] for key, pk in keys.items() if pk in counted}, KEPT_SECONDS
        )
        found |= counted
    return found


def _key(account: Account) -> str:
    return f"scans:totals:{account.pk}:{account.cache_generation}"


def _count(accounts: list[uuid.UUID]) -> dict[uuid.UUID, AccountTotals]:
    instances, resources = _inventory(Instance, accounts), _inventory(Resource, accounts)
    savings, cpu = _savings(accounts), _cpu_percent(accounts)
    totals = {}
    for pk in accounts:
        instance_count, instance_usd = instances.get(pk, (0, ZERO))
        resource_count, resource_usd = resources.get(pk, (0, ZERO))
        findings, low, high = savings.get(pk, (0, ZERO, ZERO))
        totals[pk] = AccountTotals(
            instances=instance_count,
            resources=resource_count,
            findings=findings,
            monthly_usd=instance_usd + resource_usd,
            saving_low_usd=low,
            saving_high_usd=high,
            cpu_percent=cpu.get(pk),
        )
    return totals


def _inventory(
    model: type[InventoryItem], accounts: list[uuid.UUID]
) -> dict[uuid.UUID, tuple[int, Decimal]]:
    present = model._default_manager.filter(account__in=accounts, gone_at__isnull=True)
    rows = present.order_by().values("account").annotate(n=Count("pk"), usd=Sum("monthly_cost_usd"))
    return {row["account"]: (row["n"], row["usd"] or ZERO) for row in rows}


def _cpu_percent(accounts: list[uuid.UUID]) -> dict[uuid.UUID, float]:
    of_instance = Instance.objects.present().filter(
        account=OuterRef("account"), region=OuterRef("region"), resource_id=OuterRef("resource_id")
    )
    rows = (
        MetricSummary.objects.recent(timezone.now())
        .filter(Exists(of_instance), account__in=accounts, metric="cpu_percent")
        .exclude(average=None)
        .order_by()
        .values_list("account")
        .annotate(Avg("average"))
    )
    return dict(rows)


def _savings(accounts: list[uuid.UUID]) -> dict[uuid.UUID, tuple[int, Decimal, Decimal]]:
    """As `RecommendationQuerySet.monthly_saving`, for many accounts in one query."""
    group = Coalesce(NullIf("exclusive_group", Value("")), "fingerprint")
    groups = (
        Recommendation.objects.open()
        .filter(account__in=accounts)
        .order_by()
        .values("account", "region", group=group)
        .annotate(n=Count("pk"), low=Max("saving_low_usd"), high=Max("saving_high_usd"))
    )
    sums: dict[uuid.UUID, tuple[int, Decimal, Decimal]] = {}
    for row in groups.iterator():
        n, low, high = sums.get(row["account"], (0, ZERO, ZERO))
        sums[row["account"]] = (n + row["n"], low + row["low"], high + row["high"])
    return sums
