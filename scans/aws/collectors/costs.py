"""What a thing costs a month at list price, by what its collector tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from scans.aws.collectors.instances import ON_DEMAND
from scans.aws.collectors.rows import (
    ADDRESS,
    DATABASE,
    DATABASE_SNAPSHOT,
    IMAGE,
    INSTANCE,
    LOAD_BALANCER,
    NAT_GATEWAY,
    SNAPSHOT,
    VOLUME,
    InstanceRow,
    ResourceRow,
)
from scans.aws.collectors.snapshots import STANDARD
from scans.aws.prices import HOURS_PER_MONTH, PriceBook, PriceMissingError

GB = 1024**3
ZERO = Decimal(0)
_PROVISIONED = frozenset({"io1", "io2"})


def monthly_usd(row: ResourceRow, prices: PriceBook) -> Decimal | None:
    """USD for 730 hours, `None` if unknown. Traffic, requests and load are not in it.

    Snapshots by the whole size of their disk: AWS charges what changed since the one before, and
    tells nobody how much that is, so theirs is an upper bound.
    """
    price = _BY_KIND.get(row.kind)
    try:
        return price(row, prices) if price else None
    except PriceMissingError:
        return None


def bucket_monthly_usd(size_bytes: float, region: str, prices: PriceBook) -> Decimal | None:
    """What a bucket costs if all of it is in S3 Standard: its size, CloudWatch tells."""
    try:
        return Decimal(str(size_bytes)) / GB * prices.s3_gb(region).usd
    except PriceMissingError:
        return None


def _instance(row: ResourceRow, prices: PriceBook) -> Decimal | None:
    """A stopped one costs nothing by itself, its volumes do; what a spot instance or a dedicated
    one costs, no list tells."""
    if not isinstance(row, InstanceRow):
        return None
    if row.state not in {"pending", "running"}:
        return ZERO
    if row.lifecycle != ON_DEMAND or row.spec.get("tenancy") in {"dedicated", "host"}:
        return None
    hourly = prices.instance_hourly(row.instance_type, row.region, platform=row.platform)
    return hourly.usd * HOURS_PER_MONTH


def _volume(row: ResourceRow, prices: PriceBook) -> Decimal:
    spec = row.spec
    return prices.volume_monthly_usd(
        spec["volume_type"],
        row.region,
        size_gb=spec["size_gb"],
        iops=spec.get("iops"),
        throughput_mbps=spec.get("throughput_mbps"),
    )


def _address(row: ResourceRow, prices: PriceBook) -> Decimal:
    if row.spec.get("is_own_range"):
        return ZERO
    return prices.address_hourly(row.region).usd * HOURS_PER_MONTH


def _snapshot(row: ResourceRow, prices: PriceBook) -> Decimal | None:
    if row.spec["storage_tier"] != STANDARD:
        return None  # the archive has a price of its own
    return prices.snapshot_gb(row.region).usd * int(row.spec["size_gb"])


def _image(row: ResourceRow, prices: PriceBook) -> Decimal:
    return ZERO


def _database(row: ResourceRow, prices: PriceBook) -> Decimal:
    """The storage of a cluster's member is the cluster's, and a stopped one pays storage only."""
    spec, multi_az = row.spec, bool(row.spec["multi_az"])
    storage = ZERO if spec["cluster_id"] else _database_storage(spec, row.region, prices)
    if row.state == "stopped":
        return storage
    hourly = prices.rds_hourly(
        spec["instance_class"], spec["engine"], row.region, multi_az=multi_az
    )
    return hourly.usd * HOURS_PER_MONTH + storage


def _database_storage(spec: Mapping[str, Any], region: str, prices: PriceBook) -> Decimal:
    kind, multi_az = spec["storage_type"], bool(spec["multi_az"])
    total = prices.rds_storage_gb(kind, region, multi_az=multi_az).usd * int(spec["storage_gb"])
    if kind in _PROVISIONED:
        total += prices.rds_iops(kind, region, multi_az=multi_az).usd * int(spec["iops"] or 0)
    return total


def _database_snapshot(row: ResourceRow, prices: PriceBook) -> Decimal | None:
    if row.spec["snapshot_type"] == "automated":
        return None  # free up to the size of all databases
    return prices.rds_snapshot_gb(row.region).usd * int(row.spec["size_gb"])


def _balancer(row: ResourceRow, prices: PriceBook) -> Decimal:
    return prices.load_balancer_hourly(row.spec["type"], row.region).usd * HOURS_PER_MONTH


def _nat_gateway(row: ResourceRow, prices: PriceBook) -> Decimal:
    return prices.nat_hourly(row.region).usd * HOURS_PER_MONTH


_BY_KIND: dict[str, Callable[[ResourceRow, PriceBook], Decimal | None]] = {
    INSTANCE: _instance,
    VOLUME: _volume,
    ADDRESS: _address,
    SNAPSHOT: _snapshot,
    IMAGE: _image,
    DATABASE: _database,
    DATABASE_SNAPSHOT: _database_snapshot,
    LOAD_BALANCER: _balancer,
    NAT_GATEWAY: _nat_gateway,
}
