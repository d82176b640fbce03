"""ebs.low_io: a volume that is attached, and that nobody reads or writes."""

from __future__ import annotations

from decimal import Decimal

from scans.aws.collectors.rows import VOLUME
from scans.aws.rules.finding import INSTANCES, Context, Finding, Item, Rule, label, usd
from scans.aws.rules.knowledge import datapoints, figures_of, known, tells_unknown
from scans.aws.rules.saving import basis_of
from scans.aws.rules.stopped_instance import STOPPED
from scans.aws.rules.volume_cost import size_gb, snapshot_usd, volume_usd
from scans.models import Confidence, Effort

RULE_ID = "ebs.low_io"
IN_USE = "in-use"


@tells_unknown(RULE_ID)
def judge(volume: Item, context: Context) -> Finding | None:
    """A finding when an attached volume had at most `max_ops` operations in `min_days` or more.

    One of a stopped instance rests with it and is `ec2.stopped_ebs`'s. Saving: its price; the
    lower end keeps a snapshot.
    """
    if volume.state != IN_USE or _is_of_stopped_instance(context):
        return None
    figures = figures_of(
        context,
        "volume_ops",
        days=float(context.params["min_days"]),
        min_coverage=float(context.params["min_coverage"]),
    )
    ops = known(figures.total, "volume_ops")
    if ops > float(context.params["max_ops"]):
        return None
    cost, snapshot = volume_usd(volume, context.prices), snapshot_usd(volume, context.prices)
    return Finding(
        rule=RULE_ID,
        region=volume.region,
        resource_id=volume.resource_id,
        title=f"Volume {label(volume)} is attached, but nobody reads or writes it",
        saving_low_usd=usd(max(cost - snapshot, Decimal(0))),
        saving_high_usd=usd(cost),
        confidence=Confidence.MEDIUM,
        exclusive_group=volume.resource_id,
        action="Unmount and detach it, take a snapshot, then delete it.",
        risk="The system may mount it at its next start and wait for it.",
        effort=Effort.MEDIUM,
        evidence={
            "window_days": figures.days_seen,
            "datapoints": datapoints(figures),
            "operations": round(ops),
            "volume_type": volume.spec["volume_type"],
            "size_gb": size_gb(volume),
            "attached_to": list(volume.spec.get("attached_to") or ())[:5],
            "snapshot_usd": str(usd(snapshot)),
            **basis_of(context.prices.volume(volume.region)),
        },
    )


def _is_of_stopped_instance(context: Context) -> bool:
    instances = context.related.get(INSTANCES, ())
    return bool(instances) and all(instance.state == STOPPED for instance in instances)


RULE = Rule(
    id=RULE_ID,
    kind=VOLUME,
    title="Volume without traffic",
    judge=judge,
    defaults={"min_days": 14, "min_coverage": 0.8, "max_ops": 0},
    reads=(INSTANCES,),
)
