"""ebs.gp2_gp3: gp3 costs 20 % less than gp2 and changes over while in use."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from scans.aws import prices
from scans.aws.collectors.rows import VOLUME
from scans.aws.rules.finding import Finding, Item, Params, Rule, label, usd
from scans.models import Confidence

RULE_ID = "ebs.gp2_gp3"
USABLE_STATES = frozenset({"available", "in-use"})
# gp2 reaches 250 MB/s from this size on, in bursts or always, and 128 MB/s below it.
FASTER_FROM_GB = 171
FASTER_MBPS = 250


def judge(volume: Item, *, now: datetime, params: Params) -> Finding | None:
    """A finding for a gp2 volume that is cheaper as gp3 with the IOPS it has today.

    gp3 gets at least 3,000 IOPS and gp2's baseline of 3 a GB (at most 16,000), so no volume gets
    slower by IOPS. Saving = size × (gp2 − gp3) − extra IOPS − extra MB/s: the upper end keeps the
    free 125 MB/s, the lower end buys the 250 MB/s a larger gp2 volume can reach, at least zero.
    Nothing when the upper end is not above `min_saving_usd`.
    """
    spec = volume.spec
    if spec.get("volume_type") != "gp2" or volume.state not in USABLE_STATES:
        return None
    size_gb = int(spec["size_gb"])
    iops = prices.gp2_baseline_iops(size_gb)
    throughput = FASTER_MBPS if size_gb >= FASTER_FROM_GB else prices.GP3_FREE_THROUGHPUT_MBPS
    high = saving_usd(volume.region, size_gb, iops, prices.GP3_FREE_THROUGHPUT_MBPS)
    low = saving_usd(volume.region, size_gb, iops, throughput)
    if usd(high) <= Decimal(str(params["min_saving_usd"])):
        return None
    listed = prices.volume_prices(volume.region)
    return Finding(
        rule=RULE_ID,
        region=volume.region,
        resource_id=volume.resource_id,
        title=f"Volume {label(volume)} is cheaper as gp3",
        saving_low_usd=usd(max(low, Decimal(0))),
        saving_high_usd=usd(high),
        confidence=Confidence.HIGH,
        exclusive_group=volume.resource_id,
        evidence={
            "size_gb": size_gb,
            "gp2_usd_per_gb": str(listed.gb["gp2"]),
            "gp3_usd_per_gb": str(listed.gb["gp3"]),
            "gp3_iops": iops,
            "gp3_throughput_mbps": [prices.GP3_FREE_THROUGHPUT_MBPS, throughput],
            "price_region": listed.price_region,
            "prices_as_of": prices.PRICES_AS_OF,
        },
    )


def saving_usd(region: str, size_gb: int, iops: int, throughput_mbps: int) -> Decimal:
    """USD a month saved by gp3 of this performance, negative when it costs more."""
    listed = prices.volume_prices(region)
    by_size = size_gb * (listed.gb["gp2"] - listed.gb["gp3"])
    return by_size - prices.gp3_extras_usd(listed, iops=iops, throughput_mbps=throughput_mbps)


RULE = Rule(
    id=RULE_ID,
    kind=VOLUME,
    title="gp2 volume, cheaper as gp3",
    judge=judge,
    defaults={"min_saving_usd": 0},
)
