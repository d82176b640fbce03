"""List prices in USD a month, before tax, discounts, Savings Plans and free tiers.

Source: AWS pricing pages for EBS, EC2 On-Demand (Linux, shared tenancy) and public IPv4, as of
2026-11, kept by hand and not read from the price API. EBS is listed by region; for a region
without prices of its own, and for all EC2, `us-east-1` stands in, and `price_region` says so:
elsewhere AWS asks up to a third more, in São Paulo near twice, so savings are rather too low.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

HOURS_PER_MONTH = 730
FALLBACK_REGION = "us-east-1"
PRICES_AS_OF = "2026-11"

# In use or idle, the same since 2024-02: only releasing it saves.
ADDRESS_MONTHLY_USD = Decimal("0.005") * HOURS_PER_MONTH

GP3_FREE_IOPS = 3000
GP3_FREE_THROUGHPUT_MBPS = 125
GP2_IOPS_PER_GB = 3
GP2_HIGHEST_IOPS = 16_000
IO2_TIERS = (32_000, 64_000)  # dearer below, cheaper above


class PriceMissingError(Exception):
    """There is no list price for this."""


@dataclass(frozen=True)
class VolumePrices:
    """EBS in one region: USD a GB-month, and a month for each provisioned IOPS and MB/s."""

    gb: dict[str, Decimal]
    gp3_iops: Decimal
    gp3_throughput: Decimal
    io_iops: Decimal
    snapshot_gb: Decimal
    price_region: str


def _volume_prices(region: str, figures: str) -> VolumePrices:
    """`figures`: gp2 io1 st1 sc1 standard, gp3 IOPS, gp3 MB/s, io1 IOPS, snapshot."""
    gp2, io1, st1, sc1, standard, iops, throughput, io_iops, snapshot = map(
        Decimal, figures.split()
    )
    gb = {
        "gp2": gp2,
        "gp3": gp2 * Decimal("0.8"),  # 20 % less in every region
        "io1": io1,
        "io2": io1,
        "st1": st1,
        "sc1": sc1,
        "standard": standard,
    }
    return VolumePrices(gb, iops, throughput, io_iops, snapshot, region)


_EBS = {
    region: _volume_prices(region, figures)
    for region, figures in {
        "us-east-1": "0.10 0.125 0.045 0.015 0.05 0.005 0.040 0.065 0.05",
        "us-east-2": "0.10 0.125 0.045 0.015 0.05 0.005 0.040 0.065 0.05",
        "us-west-1": "0.12 0.138 0.054 0.018 0.08 0.006 0.048 0.072 0.055",
        "us-west-2": "0.10 0.125 0.045 0.015 0.05 0.005 0.040 0.065 0.05",
        "ca-central-1": "0.11 0.138 0.050 0.0168 0.055 0.0055 0.044 0.072 0.055",
        "eu-west-1": "0.11 0.138 0.050 0.0168 0.055 0.0055 0.044 0.072 0.05",
        "eu-west-2": "0.116 0.145 0.053 0.0174 0.058 0.0058 0.046 0.076 0.053",
        "eu-west-3": "0.116 0.145 0.053 0.0174 0.058 0.0058 0.046 0.076 0.053",
        "eu-central-1": "0.119 0.149 0.054 0.018 0.059 0.006 0.048 0.078 0.054",
        "eu-north-1": "0.1045 0.1311 0.0475 0.01596 0.0475 0.0052 0.042 0.0684 0.05",
        "ap-south-1": "0.114 0.131 0.051 0.0174 0.08 0.0057 0.0456 0.068 0.05",
        "ap-northeast-1": "0.12 0.142 0.054 0.018 0.08 0.006 0.048 0.074 0.05",
        "ap-northeast-2": "0.114 0.1278 0.051 0.0174 0.08 0.0057 0.0456 0.0666 0.05",
        "ap-southeast-1": "0.12 0.138 0.054 0.018 0.08 0.006 0.048 0.072 0.05",
        "ap-southeast-2": "0.12 0.138 0.054 0.018 0.08 0.006 0.048 0.072 0.055",
        "sa-east-1": "0.19 0.238 0.086 0.0288 0.12 0.0095 0.076 0.091 0.068",
    }.items()
}

# USD an hour for the size `large`; the other sizes of a family are multiples of it.
_EC2_LARGE = {
    family: Decimal(price)
    for family, price in {
        "t2": "0.0928",
        "t3": "0.0832",
        "t3a": "0.0752",
        "t4g": "0.0672",
        "m4": "0.10",
        "m5": "0.096",
        "m5a": "0.086",
        "m6a": "0.0864",
        "m6g": "0.077",
        "m6i": "0.096",
        "m7g": "0.0816",
        "m7i": "0.1008",
        "c5": "0.085",
        "c5a": "0.077",
        "c6a": "0.0765",
        "c6g": "0.068",
        "c6i": "0.085",
        "c7g": "0.0725",
        "c7i": "0.08925",
        "r5": "0.126",
        "r5a": "0.113",
        "r6a": "0.1134",
        "r6g": "0.1008",
        "r6i": "0.126",
        "r7g": "0.1071",
        "r7i": "0.1323",
    }.items()
}
_BURSTABLE = frozenset({"t2", "t3", "t3a", "t4g"})
_SIZES = {
    "medium": Decimal("0.5"),
    "large": Decimal(1),
    "xlarge": Decimal(2),
    "2xlarge": Decimal(4),
    "4xlarge": Decimal(8),
    "8xlarge": Decimal(16),
    "9xlarge": Decimal(18),
    "12xlarge": Decimal(24),
    "16xlarge": Decimal(32),
    "18xlarge": Decimal(36),
    "24xlarge": Decimal(48),
}
_SMALL_SIZES = {"nano": Decimal(1) / 16, "micro": Decimal(1) / 8, "small": Decimal(1) / 4}


def volume_prices(region: str) -> VolumePrices:
    """EBS prices of the region, or those of `us-east-1`; `price_region` tells which."""
    return _EBS.get(region, _EBS[FALLBACK_REGION])


def volume_monthly_usd(
    volume_type: str,
    region: str,
    *,
    size_gb: int,
    iops: int | None = None,
    throughput_mbps: int | None = None,
) -> Decimal:
    """USD a month for one volume. Raises `PriceMissingError` for an unknown type."""
    listed = volume_prices(region)
    if volume_type not in listed.gb:
        raise PriceMissingError(f"There is no list price for volumes of type {volume_type!r}.")
    total = listed.gb[volume_type] * size_gb
    if volume_type == "gp3":
        total += gp3_extras_usd(listed, iops=iops or 0, throughput_mbps=throughput_mbps or 0)
    elif volume_type == "io1":
        total += listed.io_iops * (iops or 0)
    elif volume_type == "io2":
        total += _io2_iops_usd(listed, iops or 0)
    return total


def gp3_extras_usd(listed: VolumePrices, *, iops: int, throughput_mbps: int) -> Decimal:
    """What a gp3 volume costs a month beyond its size."""
    extra_iops = max(0, iops - GP3_FREE_IOPS)
    extra_throughput = max(0, throughput_mbps - GP3_FREE_THROUGHPUT_MBPS)
    return extra_iops * listed.gp3_iops + extra_throughput * listed.gp3_throughput


def gp2_baseline_iops(size_gb: int) -> int:
    """What gp2 gives a volume of this size, beyond what every gp3 volume has anyway."""
    return max(GP3_FREE_IOPS, min(GP2_HIGHEST_IOPS, GP2_IOPS_PER_GB * size_gb))


def instance_monthly_usd(instance_type: str, region: str) -> Decimal:
    """USD for 730 hours of Linux on demand, at `us-east-1` prices wherever it runs.

    Raises `PriceMissingError` for a type the table lacks.
    """
    family, _, size = instance_type.partition(".")
    sizes = _SIZES | _SMALL_SIZES if family in _BURSTABLE else _SIZES
    if family not in _EC2_LARGE or size not in sizes:
        raise PriceMissingError(f"There is no list price for {instance_type!r} in {region}.")
    return _EC2_LARGE[family] * sizes[size] * HOURS_PER_MONTH


def _io2_iops_usd(listed: VolumePrices, iops: int) -> Decimal:
    """The first 32,000 at io1's price, the next 32,000 at 70 % of it, the rest at 49 %."""
    low, high = IO2_TIERS
    tiers = (min(iops, low), max(0, min(iops, high) - low), max(0, iops - high))
    shares = (Decimal(1), Decimal("0.7"), Decimal("0.49"))
    return sum(
        (n * share * listed.io_iops for n, share in zip(tiers, shares, strict=True)), Decimal(0)
    )
