"""ebs.unattached: a volume that no instance uses is paid for all the same."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from scans.aws.collectors.rows import VOLUME
from scans.aws.rules.finding import (
    Context,
    Finding,
    Item,
    Rule,
    in_state_since,
    label,
    usd,
    was_never_otherwise,
)
from scans.aws.rules.knowledge import age_of, instant_of, tells_unknown
from scans.aws.rules.saving import basis_of
from scans.aws.rules.volume_cost import size_gb, snapshot_usd, volume_usd
from scans.models import Confidence

RULE_ID = "ebs.unattached"
AVAILABLE = "available"


@tells_unknown(RULE_ID)
def judge(volume: Item, context: Context) -> Finding | None:
    """A finding when the volume has been unattached for `min_age_days`.

    AWS does not tell when a volume was detached, so the age counts from the scan that first saw
    it unattached: high confidence. An account's first scan has seen nothing yet; there, a volume
    that no scan ever saw attached counts from its creation, with low confidence, because it may
    have been detached an hour ago. One that a scan saw attached never takes this way.

    Saving: the volume's list price is the upper end; the lower end keeps a full snapshot of it,
    the safe way to delete one.
    """
    if volume.state != AVAILABLE:
        return None
    since, confidence = _since(volume, context)
    if since is None:
        return None
    cost, snapshot = volume_usd(volume, context.prices), snapshot_usd(volume, context.prices)
    return Finding(
        rule=RULE_ID,
        region=volume.region,
        resource_id=volume.resource_id,
        title=f"Volume {label(volume)} is attached to nothing",
        saving_low_usd=usd(max(cost - snapshot, Decimal(0))),
        saving_high_usd=usd(cost),
        confidence=confidence,
        exclusive_group=volume.resource_id,
        action="Take a snapshot of it, then delete it.",
        risk="Somebody may have kept it on purpose; the snapshot brings it back.",
        evidence={
            "since": since.isoformat(),
            "since_is": "seen unattached" if confidence == Confidence.HIGH else "created",
            "age_days": age_of(since, context.now).days,
            "volume_type": volume.spec["volume_type"],
            "size_gb": size_gb(volume),
            "snapshot_usd": str(usd(snapshot)),
            **basis_of(context.prices.volume(volume.region)),
        },
    )


def _since(volume: Item, context: Context) -> tuple[datetime | None, Confidence]:
    """Since when it is old enough, `None` while it is not."""
    min_age = context.days("min_age_days")
    seen_since = in_state_since(volume)
    if context.now - seen_since >= min_age:
        return seen_since, Confidence.HIGH
    created_at = instant_of(volume.spec, "created_at")
    if created_at is None or not was_never_otherwise(volume):
        return None, Confidence.LOW
    return (created_at if context.now - created_at >= min_age else None), Confidence.LOW


RULE = Rule(
    id=RULE_ID,
    kind=VOLUME,
    title="Unattached volume",
    judge=judge,
    defaults={"min_age_days": 7},
)
