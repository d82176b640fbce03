"""AWS's price list, asked for what rules need and no more: a page at a time, never whole files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

from scans.aws.clients import AwsClient
from scans.aws.costs.calls import whole
from scans.aws.prices import keys
from scans.aws.prices.figures import PriceMissingError

PRICING_REGION = "us-east-1"  # one of the few that answer; it knows all regions' prices
PAGE_SIZE = 100  # the most AWS gives
MIBPS_PER_GIBPS = 1024

Attributes: TypeAlias = Mapping[str, str]
KeyOf: TypeAlias = Callable[[Attributes], str | None]


@dataclass(frozen=True)
class PriceRow:
    region: str
    sku_kind: str
    key: str
    usd: Decimal
    unit: str
    effective_from: date


@dataclass(frozen=True)
class Query:
    """One question: `key_of` names what a product's price is kept under, `None` leaves it out."""

    service: str
    filters: Mapping[str, str]
    sku_kind: str
    key_of: KeyOf = field(repr=False)


def ask(client: AwsClient, query: Query, region: str) -> Iterator[list[PriceRow]]:
    """The region's rows of one query, a list a page."""
    filters = {"regionCode": region, **query.filters}
    pages = client.get_paginator("get_products").paginate(
        ServiceCode=query.service,
        Filters=[
            {"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in filters.items()
        ],
        FormatVersion="aws_v1",
        PaginationConfig={"PageSize": PAGE_SIZE},
    )
    for page in pages:
        found = (
            read_product(text, query, region) for text in whole(page, "PriceList")["PriceList"]
        )
        yield [row for row in found if row is not None]


def read_product(text: str, query: Query, region: str) -> PriceRow | None:
    """One product of the list. `None`: not one of ours, or without a price on demand in USD."""
    product = json.loads(text)
    attributes = product.get("product", {}).get("attributes", {})
    key = query.key_of(attributes)
    if key is None:
        return None
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        price = _first_tier(term)
        if price is None:
            continue
        usd, unit = price
        if unit.lower().startswith("gibps"):
            usd /= MIBPS_PER_GIBPS  # we count in MiB/s, as volumes do
        effective = date.fromisoformat(str(term.get("effectiveDate", ""))[:10])
        return PriceRow(region, query.sku_kind, key, usd, unit, effective)
    return None


def _first_tier(term: Mapping[str, Any]) -> tuple[Decimal, str] | None:
    """USD a unit for the first unit one buys; later ones may be cheaper."""
    for dimension in term.get("priceDimensions", {}).values():
        if Decimal(str(dimension.get("beginRange") or 0)) != 0:
            continue
        try:
            usd = Decimal(str(dimension.get("pricePerUnit", {}).get("USD", "")))
        except InvalidOperation:
            return None
        # Free ones are reservations' own usage, which is listed beside them.
        return (usd, str(dimension.get("unit", ""))) if usd > 0 else None
    return None


def _instance_key(attributes: Attributes) -> str | None:
    instance_type = attributes.get("instanceType")
    system = attributes.get("operatingSystem", "").lower()
    return f"{instance_type}:{system}" if instance_type else None


def _volume_key(attributes: Attributes) -> str | None:
    return attributes.get("volumeApiName") or None


def _provisioned_key(attributes: Attributes) -> str | None:
    """IOPS and MB/s of gp3, IOPS of io1; io2 has tiers of io1's price."""
    volume_type = attributes.get("volumeApiName", "")
    usage = attributes.get("usagetype", "")
    if volume_type == "gp3" and "VolumeP-Throughput" in usage:
        return "gp3:throughput"
    if volume_type in {"gp3", "io1"} and "VolumeP-IOPS" in usage:
        return f"{volume_type}:iops"
    return None


def _ending(*endings: str, key: str) -> KeyOf:
    """By how its usage type ends: the beginning is the region's, and empty in us-east-1."""

    def key_of(attributes: Attributes) -> str | None:
        return key if attributes.get("usagetype", "").endswith(endings) else None

    return key_of


def _database_key(attributes: Attributes) -> str | None:
    engine = attributes.get("databaseEngine", "").lower()
    zones = _zones(attributes)
    instance_class = attributes.get("instanceType")
    # Aurora has two prices; the other includes all I/O and its usage type says so.
    if not instance_class or zones is None or "IOOptimized" in attributes.get("usagetype", ""):
        return None
    if attributes.get("deploymentModel", "") not in {"", "RDS"} and "aurora" not in engine:
        return None
    try:
        return keys.database_key(instance_class, engine, multi_az=zones == keys.MULTI_AZ)
    except PriceMissingError:
        return None


_RDS_VOLUMES = {
    "General Purpose": "gp2",
    "General Purpose-GP3": "gp3",
    "Provisioned IOPS": "io1",
    "Provisioned IOPS-IO2": "io2",
    "Magnetic": "standard",
    "General Purpose-Aurora": "aurora",
}


def _database_storage_key(attributes: Attributes) -> str | None:
    storage_type = _RDS_VOLUMES.get(attributes.get("volumeType", ""))
    zones = _zones(attributes)
    # Any engine will do: they share the price, and `Any` is how most are listed.
    return f"{storage_type}:{zones}" if storage_type and zones else None


def _zones(attributes: Attributes) -> str | None:
    option = attributes.get("deploymentOption", "Single-AZ")
    return {"Single-AZ": keys.SINGLE_AZ, "Multi-AZ": keys.MULTI_AZ}.get(option)


def _instances(system: str) -> Query:
    return Query(
        "AmazonEC2",
        {
            "productFamily": "Compute Instance",
            "operatingSystem": system,
            "tenancy": "Shared",
            "preInstalledSw": "NA",
            "capacitystatus": "Used",
            "licenseModel": "No License required",
        },
        keys.EC2,
        _instance_key,
    )


def _databases(engine: str) -> Query:
    filters = {"productFamily": "Database Instance", "databaseEngine": engine}
    return Query("AmazonRDS", filters, keys.RDS, _database_key)


def _balancers(family: str, key: str) -> Query:
    key_of = _ending("LoadBalancerUsage", key=key)
    return Query("AWSELB", {"productFamily": family}, keys.LOAD_BALANCER, key_of)


QUERIES = (
    _instances("Linux"),
    _instances("Windows"),
    Query("AmazonEC2", {"productFamily": "Storage"}, keys.EBS, _volume_key),
    Query("AmazonEC2", {"productFamily": "System Operation"}, keys.EBS, _provisioned_key),
    Query("AmazonEC2", {"productFamily": "Provisioned Throughput"}, keys.EBS, _provisioned_key),
    Query(
        "AmazonEC2",
        {"productFamily": "Storage Snapshot"},
        keys.EBS,
        _ending("EBS:SnapshotUsage", key="snapshot"),
    ),
    Query(
        "AmazonEC2",
        {"productFamily": "NAT Gateway"},
        keys.NAT,
        _ending("NatGateway-Hours", key="hour"),
    ),
    Query(
        "AmazonVPC",
        {"group": "VPCPublicIPv4Address"},
        keys.ADDRESS,
        _ending("PublicIPv4:IdleAddress", key="hour"),
    ),
    _balancers("Load Balancer-Application", "application"),
    _balancers("Load Balancer-Network", "network"),
    _balancers("Load Balancer-Gateway", "gateway"),
    _balancers("Load Balancer", "classic"),
    *(
        _databases(engine)
        for engine in ("MySQL", "MariaDB", "PostgreSQL", "Aurora MySQL", "Aurora PostgreSQL")
    ),
    Query(
        "AmazonRDS",
        {"productFamily": "Database Storage"},
        keys.RDS_STORAGE,
        _database_storage_key,
    ),
    Query(
        "AmazonRDS",
        {"productFamily": "Storage Snapshot"},
        keys.RDS_STORAGE,
        _ending("RDS:ChargedBackupUsage", key="snapshot"),
    ),
    Query(
        "AmazonS3",
        {"productFamily": "Storage", "volumeType": "Standard"},
        keys.S3,
        _ending("TimedStorage-ByteHrs", key="standard"),
    ),
)
