"""What a price is, and the arithmetic AWS does with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

HOURS_PER_MONTH = 730
FALLBACK_REGION = "us-east-1"
PRICES_AS_OF = "2026-11"  # of the built-in table

# In use or idle, the same since 2024-02: only releasing it saves.
ADDRESS_HOURLY_USD = Decimal("0.005")
ADDRESS_MONTHLY_USD = ADDRESS_HOURLY_USD * HOURS_PER_MONTH

GP3_FREE_IOPS = 3000
GP3_FREE_THROUGHPUT_MBPS = 125
GP2_IOPS_PER_GB = 3
GP2_HIGHEST_IOPS = 16_000
IO2_TIERS = (32_000, 64_000)  # dearer below, cheaper above

Basis: TypeAlias = Literal["api", "builtin"]


class PriceMissingError(Exception):
    """There is no list price for this."""


@dataclass(frozen=True)
class Price:
    """A list price and where it comes from. `as_of`: the month or day it was read. A
    `price_region` other than asked for stands in: it is then rather too low."""

    usd: Decimal
    basis: Basis
    as_of: str
    price_region: str

    def times(self, factor: int) -> Price:
        return Price(self.usd * factor, self.basis, self.as_of, self.price_region)


@dataclass(frozen=True)
class VolumePrices:
    """EBS in one region: USD a GB-month, and a month for each provisioned IOPS and MB/s."""

    gb: Mapping[str, Decimal]
    gp3_iops: Decimal
    gp3_throughput: Decimal
    io_iops: Decimal
    snapshot_gb: Decimal
    price_region: str
    basis: Basis = "builtin"
    as_of: str = PRICES_AS_OF

    def monthly_usd(
        self, volume_type: str, *, size_gb: int, iops: int = 0, throughput_mbps: int = 0
    ) -> Decimal:
        """One volume. Raises `PriceMissingError` for an unknown type."""
        if volume_type not in self.gb:
            raise PriceMissingError(f"There is no list price for volumes of type {volume_type!r}.")
        total = self.gb[volume_type] * size_gb
        if volume_type == "gp3":
            total += gp3_extras_usd(self, iops=iops, throughput_mbps=throughput_mbps)
        elif volume_type == "io1":
            total += self.io_iops * iops
        elif volume_type == "io2":
            total += _io2_iops_usd(self, iops)
        return total


def gp3_extras_usd(listed: VolumePrices, *, iops: int, throughput_mbps: int) -> Decimal:
    """What a gp3 volume costs a month beyond its size."""
    extra_iops = max(0, iops - GP3_FREE_IOPS)
    extra_throughput = max(0, throughput_mbps - GP3_FREE_THROUGHPUT_MBPS)
    return extra_iops * listed.gp3_iops + extra_throughput * listed.gp3_throughput


def gp2_baseline_iops(size_gb: int) -> int:
    """What gp2 gives a volume of this size, beyond what every gp3 volume has anyway."""
    return max(GP3_FREE_IOPS, min(GP2_HIGHEST_IOPS, GP2_IOPS_PER_GB * size_gb))


def _io2_iops_usd(listed: VolumePrices, iops: int) -> Decimal:
    """The first 32,000 at io1's price, the next 32,000 at 70 % of it, the rest at 49 %."""
    low, high = IO2_TIERS
    tiers = (min(iops, low), max(0, min(iops, high) - low), max(0, iops - high))
    shares = (Decimal(1), Decimal("0.7"), Decimal("0.49"))
    return sum(
        (n * share * listed.io_iops for n, share in zip(tiers, shares, strict=True)), Decimal(0)
    )
