"""What a volume costs a month at list price."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from scans.aws.prices import PriceBook
from scans.aws.rules.finding import Item


def volume_usd(volume: Item, book: PriceBook) -> Decimal:
    """USD a month for size, IOPS and throughput. Raises `PriceMissingError`."""
    spec: dict[str, Any] = volume.spec
    return book.volume_monthly_usd(
        str(spec.get("volume_type", "")),
        volume.region,
        size_gb=size_gb(volume),
        iops=spec.get("iops"),
        throughput_mbps=spec.get("throughput_mbps"),
    )


def snapshot_usd(volume: Item, book: PriceBook) -> Decimal:
    """USD a month for a snapshot of the whole volume: at most that."""
    return book.snapshot_gb(volume.region).usd * size_gb(volume)


def size_gb(item: Item) -> int:
    return int(item.spec.get("size_gb") or 0)
