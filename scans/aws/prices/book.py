"""One account's price list: rows of the price API first, the built-in table second."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from scans.aws.prices import builtin, keys
from scans.aws.prices.figures import (
    FALLBACK_REGION,
    HOURS_PER_MONTH,
    PRICES_AS_OF,
    Price,
    PriceMissingError,
    VolumePrices,
)

Rows = Mapping[tuple[str, str, str], Price]  # by region, kind and key

_VOLUME_KEYS = ("gp2", "gp3", "gp3:iops", "gp3:throughput", "io1:iops", "snapshot")
_VOLUME_TYPES = ("gp2", "gp3", "io1", "io2", "st1", "sc1", "standard")


@dataclass(frozen=True)
class PriceBook:
    """Every method raises `PriceMissingError` where neither source has a price.

    A region without a price of its own gets that of `us-east-1`; `price_region` says so.
    """

    rows: Rows = field(default_factory=dict, repr=False)

    def instance_hourly(self, instance_type: str, region: str, *, platform: str = "") -> Price:
        """On demand, shared tenancy; `platform` as EC2 words it: Linux/UNIX or Windows."""
        return self._find(keys.EC2, keys.instance_key(instance_type, platform), region)

    def instance_monthly_usd(
        self, instance_type: str, region: str, *, platform: str = ""
    ) -> Decimal:
        """USD for 730 hours on demand."""
        hourly = self.instance_hourly(instance_type, region, platform=platform)
        return hourly.usd * HOURS_PER_MONTH

    def volume(self, region: str) -> VolumePrices:
        for place in (region, FALLBACK_REGION):
            if all((place, keys.EBS, key) in self.rows for key in _VOLUME_KEYS):
                return self._volume_of_api(place)
            if place in builtin.EBS:
                return builtin.EBS[place]
        raise PriceMissingError("There are no list prices for volumes.")

    def volume_monthly_usd(
        self,
        volume_type: str,
        region: str,
        *,
        size_gb: int,
        iops: int | None = None,
        throughput_mbps: int | None = None,
    ) -> Decimal:
        """USD a month for one volume."""
        return self.volume(region).monthly_usd(
            volume_type, size_gb=size_gb, iops=iops or 0, throughput_mbps=throughput_mbps or 0
        )

    def snapshot_gb(self, region: str) -> Price:
        """A GB-month of EBS snapshots."""
        listed = self.volume(region)
        return Price(listed.snapshot_gb, listed.basis, listed.as_of, listed.price_region)

    def rds_hourly(
        self, instance_class: str, engine: str, region: str, *, multi_az: bool = False
    ) -> Price:
        """`db.m5.large`; engines without a licence: mysql, mariadb, postgres, aurora."""
        key = keys.database_key(instance_class, engine, multi_az=multi_az)
        return self._find(keys.RDS, key, region)

    def rds_storage_gb(self, storage_type: str, region: str, *, multi_az: bool = False) -> Price:
        """A GB-month of gp2, gp3, io1, io2, standard or aurora."""
        key = keys.storage_key(storage_type, multi_az=multi_az)
        return self._find(keys.RDS_STORAGE, key, region)

    def rds_iops(self, storage_type: str, region: str, *, multi_az: bool = False) -> Price:
        """A month of one provisioned IOPS of io1 or io2."""
        key = keys.storage_key(f"{storage_type}:iops", multi_az=multi_az)
        return self._find(keys.RDS_STORAGE, key, region)

    def rds_snapshot_gb(self, region: str) -> Price:
        """A GB-month of backup beyond the free size of the database."""
        return self._find(keys.RDS_STORAGE, "snapshot", region)

    def load_balancer_hourly(self, kind: str, region: str) -> Price:
        """`kind`: application, network, gateway or classic; without capacity units."""
        return self._find(keys.LOAD_BALANCER, kind, region)

    def nat_hourly(self, region: str) -> Price:
        """A NAT gateway, without the data it processes."""
        return self._find(keys.NAT, "hour", region)

    def address_hourly(self, region: str) -> Price:
        """A public IPv4 address, in use or idle."""
        return self._find(keys.ADDRESS, "hour", region)

    def s3_gb(self, region: str) -> Price:
        """A GB-month of S3 Standard, first tier."""
        return self._find(keys.S3, "standard", region)

    def _find(self, kind: str, key: str, region: str) -> Price:
        for place in (region, FALLBACK_REGION):
            if (found := self.rows.get((place, kind, key))) is not None:
                return found
            if (usd := builtin.find(kind, key, place)) is not None:
                return Price(usd, "builtin", PRICES_AS_OF, place)
        raise PriceMissingError(f"There is no list price for {key!r} in {region}.")

    def _volume_of_api(self, region: str) -> VolumePrices:
        def usd(key: str) -> Decimal:
            return self.rows[region, keys.EBS, key].usd

        return VolumePrices(
            gb={t: usd(t) for t in _VOLUME_TYPES if (region, keys.EBS, t) in self.rows},
            gp3_iops=usd("gp3:iops"),
            gp3_throughput=usd("gp3:throughput"),
            io_iops=usd("io1:iops"),
            snapshot_gb=usd("snapshot"),
            price_region=region,
            basis="api",
            as_of=min(self.rows[region, keys.EBS, key].as_of for key in _VOLUME_KEYS),
        )


BUILT_IN_BOOK = PriceBook()


def book_of(items: Iterable[Any]) -> PriceBook:
    """A book of `PriceItem` rows."""
    rows = {
        (item.region, item.sku_kind, item.key): Price(
            item.usd, "api", item.fetched_at.date().isoformat(), item.region
        )
        for item in items
    }
    return PriceBook(rows)
