"""ebs.gp2_gp3: gp3 costs 20 % less than gp2 and changes over while in use."""

from __future__ import annotations

from decimal import Decimal

from scans.aws import prices
from scans.aws.collectors.rows import VOLUME
from scans.aws.prices import VolumePrices
from scans.aws.rules.finding import Context, Finding, Item, Rule, label, usd
from scans.aws.rules.knowledge import tells_unknown
from scans.aws.rules.saving import basis_of
from scans.aws.rules.volume_cost import size_gb
from scans.models import Confidence

RULE_ID = "ebs.gp2_gp3"
USABLE_STATES = frozenset({"available", "in-use"})
# gp2 reaches 250 MB/s from this size on, in bursts or always, and 128 MB/s below it.
FASTER_FROM_GB = 171
FASTER_MBPS = 250


@tells_unknown(RULE_ID)
def judge(volume: Item, context: Context) -> Finding | None:
    """A finding for a gp2 volume that is cheaper as gp3 with the IOPS it has today.

    gp3 gets at least 3,000 IOPS and gp2's baseline of 3 a GB (at most 16,000), so no volume gets
    slower by IOPS. Saving = size × (gp2 − gp3) − extra IOPS − extra MB/s: the upper end keeps the
    free 125 MB/s, the lower end buys the 250 MB/s a larger gp2 volume can reach, at least zero.
    Nothing when the upper end is not above `min_saving_usd`.
    """
    if volume.spec.get("volume_type") != "gp2" or volume.state not in USABLE_STATES:
        return None
    size, listed = size_gb(volume), context.prices.volume(volume.region)
    iops = prices.gp2_baseline_iops(size)
    throughput = FASTER_MBPS if size >= FASTER_FROM_GB else prices.GP3_FREE_THROUGHPUT_MBPS
    high = saving_usd(listed, size, iops, prices.GP3_FREE_THROUGHPUT_MBPS)
    low = saving_usd(listed, size, iops, throughput)
    if usd(high) <= context.usd("min_saving_usd"):
        return None
    return Finding(
        rule=RULE_ID,
        region=volume.region,
        resource_id=volume.resource_id,
        title=f"Volume {label(volume)} is cheaper as gp3",
        saving_low_usd=usd(max(low, Decimal(0))),
        saving_high_usd=usd(high),
        confidence=Confidence.HIGH,
        exclusive_group=volume.resource_id,
        action=f"Change its type to gp3 with {iops:,} IOPS; it stays in use meanwhile.",
        risk="It is slower for hours while AWS changes it, and cannot be changed again for six.",
        evidence={
            "size_gb": size,
            "gp2_usd_per_gb": str(listed.gb["gp2"]),
            "gp3_usd_per_gb": str(listed.gb["gp3"]),
            "gp3_iops": iops,
            "gp3_throughput_mbps": [prices.GP3_FREE_THROUGHPUT_MBPS, throughput],
            **basis_of(listed),
        },
    )


def saving_usd(listed: VolumePrices, size: int, iops: int, throughput_mbps: int) -> Decimal:
    """USD a month saved by gp3 of this performance, negative when it costs more."""
    by_size = size * (listed.gb["gp2"] - listed.gb["gp3"])
    return by_size - prices.gp3_extras_usd(listed, iops=iops, throughput_mbps=throughput_mbps)


RULE = Rule(
    id=RULE_ID,
    kind=VOLUME,
    title="gp2 volume, cheaper as gp3",
    judge=judge,
    defaults={"min_saving_usd": 0},
)
