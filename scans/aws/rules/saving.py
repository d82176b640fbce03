"""What a saving is worth, and by which prices, as evidence a person can check."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol

from scans.aws.prices import FALLBACK_REGION, HOURS_PER_MONTH, Price
from scans.aws.rules.finding import Context, InstanceItem, usd
from scans.aws.rules.knowledge import NotKnownError

ON_DEMAND = "on-demand"


class Priced(Protocol):
    """A price, or some of one region: where it is from and how old."""

    @property
    def basis(self) -> str: ...
    @property
    def as_of(self) -> str: ...
    @property
    def price_region(self) -> str: ...


def basis_of(*prices: Priced) -> dict[str, str]:
    """Evidence: whose list prices, of which region, and how old."""
    words = {"api": "AWS price list", "builtin": "built-in list prices"}
    kinds = sorted({words.get(price.basis, price.basis) for price in prices})
    return {
        "price_basis": " and ".join(kinds) + ", on demand, before discounts and tax",
        "price_region": prices[0].price_region,
        "prices_as_of": min(price.as_of for price in prices),
    }


def monthly(hourly_usd: Decimal, *, count: int = 1) -> Decimal:
    """USD for 730 hours."""
    return hourly_usd * HOURS_PER_MONTH * count


def net_of_commitments(context: Context, listed_usd: Decimal) -> tuple[Decimal, Decimal]:
    """(low, high): compute that Savings Plans or reservations cover is paid for in any case."""
    share = min(max(context.coverage, Decimal(0)), Decimal(1))
    return usd(listed_usd * (1 - share)), usd(listed_usd)


def coverage_evidence(context: Context) -> dict[str, str]:
    if not context.is_coverage_known:
        return {"commitment_coverage": "unknown: the lower saving is at list price too"}
    return {"commitment_coverage": f"{context.coverage:.1%} of compute"}


def hourly_price(instance: InstanceItem, instance_type: str, context: Context) -> Price:
    """The on-demand price of `instance_type` in this instance's place. Raises `NotKnownError`
    where on-demand prices say nothing, `PriceMissingError` where there is none."""
    if instance.lifecycle not in ("", ON_DEMAND):
        raise NotKnownError("What it costs is not known: it does not run on demand.")
    if instance.spec.get("tenancy") not in (None, "", "default"):
        raise NotKnownError("What it costs is not known: its hardware is its own.")
    return context.prices.instance_hourly(
        instance_type, instance.region, platform=instance.platform
    )


def hourly_prices(
    instance: InstanceItem, from_type: str, to_type: str, context: Context
) -> tuple[Price, Price]:
    """Two prices that can be compared: of one region. Raises as `hourly_price`."""
    here = hourly_price(instance, from_type, context)
    then = hourly_price(instance, to_type, context)
    if here.price_region == then.price_region:
        return here, then
    platform = instance.platform
    there = context.prices.instance_hourly
    return (
        there(from_type, FALLBACK_REGION, platform=platform),
        there(to_type, FALLBACK_REGION, platform=platform),
    )


def group_risk(tags: Mapping[str, Any]) -> str:
    """A warning for a member of a group, which would replace it."""
    if "aws:autoscaling:groupName" in tags:
        return " It belongs to an Auto Scaling group: change the group, not the instance."
    return ""
