"""List prices in USD, before tax, discounts, Savings Plans and free tiers, for use offline.

Source: AWS pricing pages as of 2026-11, kept by hand and not read from the price API. Where a
region has no price of its own here, `us-east-1` stands in: elsewhere AWS asks up to a third more,
in São Paulo near twice, so savings are rather too low. The price API's rows go first.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from scans.aws.prices import keys
from scans.aws.prices.builtin_compute import database_hourly, instance_hourly
from scans.aws.prices.figures import ADDRESS_HOURLY_USD, FALLBACK_REGION, VolumePrices


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


EBS: Mapping[str, VolumePrices] = {
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

# USD an hour or a GB-month: application and network load balancer, gateway and classic ones, NAT
# gateway, S3 Standard.
_OTHERS = {
    region: dict(
        zip(
            ("application", "network", "gateway", "classic", "nat", "s3"),
            map(Decimal, figures.split()),
            strict=True,
        )
    )
    for region, figures in {
        "us-east-1": "0.0225 0.0225 0.0125 0.025 0.045 0.023",
        "us-east-2": "0.0225 0.0225 0.0125 0.025 0.045 0.023",
        "us-west-1": "0.0252 0.0252 0.0140 0.028 0.048 0.026",
        "us-west-2": "0.0225 0.0225 0.0125 0.025 0.045 0.023",
        "ca-central-1": "0.02475 0.02475 0.01375 0.0275 0.050 0.025",
        "eu-west-1": "0.0252 0.0252 0.0140 0.028 0.048 0.023",
        "eu-west-2": "0.02646 0.02646 0.0147 0.0294 0.050 0.024",
        "eu-west-3": "0.02646 0.02646 0.0147 0.0294 0.050 0.024",
        "eu-central-1": "0.0270 0.0270 0.0150 0.030 0.052 0.0245",
        "eu-north-1": "0.02394 0.02394 0.0133 0.0266 0.046 0.023",
        "ap-south-1": "0.0239 0.0239 0.0133 0.0266 0.056 0.025",
        "ap-northeast-1": "0.0243 0.0243 0.0135 0.027 0.062 0.025",
        "ap-northeast-2": "0.0225 0.0225 0.0125 0.025 0.059 0.025",
        "ap-southeast-1": "0.0252 0.0252 0.0140 0.028 0.059 0.025",
        "ap-southeast-2": "0.0252 0.0252 0.0140 0.028 0.059 0.025",
        "sa-east-1": "0.034 0.034 0.0189 0.034 0.093 0.0405",
    }.items()
}

# Single-AZ in us-east-1; a standby in another zone costs the same again.
_RDS_STORAGE = {
    "gp2": Decimal("0.115"),
    "gp3": Decimal("0.115"),
    "io1": Decimal("0.125"),
    "io2": Decimal("0.125"),
    "standard": Decimal("0.10"),
    "aurora": Decimal("0.10"),
    "io1:iops": Decimal("0.10"),
    "io2:iops": Decimal("0.10"),
}
_RDS_SNAPSHOT_GB = Decimal("0.095")


def find(kind: str, key: str, region: str) -> Decimal | None:
    """The price of a key of `keys` in exactly this region."""
    if kind == keys.EC2:
        return instance_hourly(key, region)
    if kind in {keys.LOAD_BALANCER, keys.NAT, keys.S3}:
        column = {keys.NAT: "nat", keys.S3: "s3"}.get(kind, key)
        return _OTHERS.get(region, {}).get(column)
    if kind == keys.ADDRESS:
        return ADDRESS_HOURLY_USD  # the same everywhere
    if region != FALLBACK_REGION:
        return None
    if kind == keys.RDS:
        return database_hourly(key)
    return _rds_storage(key) if kind == keys.RDS_STORAGE else None


def _rds_storage(key: str) -> Decimal | None:
    if key == "snapshot":
        return _RDS_SNAPSHOT_GB
    storage_type, _, zones = key.rpartition(":")
    usd = _RDS_STORAGE.get(storage_type)
    if usd is None:
        return None
    # Aurora keeps six copies in three zones at this price.
    return usd * 2 if zones == keys.MULTI_AZ and storage_type != "aurora" else usd
