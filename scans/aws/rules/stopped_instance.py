"""ec2.stopped_ebs: a stopped instance costs nothing, its volumes and addresses do."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

from scans.aws.collectors.rows import INSTANCE
from scans.aws.rules.finding import (
    ADDRESSES,
    VOLUMES,
    Context,
    Finding,
    Item,
    Rule,
    in_state_since,
    label,
    usd,
)
from scans.aws.rules.knowledge import age_of, related, tells_unknown
from scans.aws.rules.saving import basis_of, monthly
from scans.aws.rules.volume_cost import size_gb, snapshot_usd, volume_usd
from scans.models import Confidence, Effort

RULE_ID = "ec2.stopped_ebs"
STOPPED = "stopped"
# "User initiated (2026-01-31 10:20:30 GMT)"
_STOPPED_AT = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")


@tells_unknown(RULE_ID)
def judge(instance: Item, context: Context) -> Finding | None:
    """A finding when the instance has been stopped for `min_age_days` and has volumes.

    Since when, AWS tells in the reason of the stop; where it does not, the scan counts that first
    saw it stopped. Saving: all its volumes and its address; the lower end keeps snapshots.
    """
    if instance.state != STOPPED:
        return None
    since, how = stopped_since(instance)
    if context.now - since < context.days("min_age_days"):
        return None
    volumes = related(context, VOLUMES)
    if not volumes:
        return None
    book = context.prices
    volumes_usd = sum((volume_usd(volume, book) for volume in volumes), Decimal(0))
    snapshots_usd = sum((snapshot_usd(volume, book) for volume in volumes), Decimal(0))
    addresses = [a for a in context.related.get(ADDRESSES, ()) if not a.spec.get("is_own_range")]
    addresses_usd = Decimal(0)
    if addresses:
        addresses_usd = monthly(book.address_hourly(instance.region).usd, count=len(addresses))
    return Finding(
        rule=RULE_ID,
        region=instance.region,
        resource_id=instance.resource_id,
        title=f"Instance {label(instance)} is stopped, its volumes are paid on",
        saving_low_usd=usd(max(volumes_usd - snapshots_usd, Decimal(0)) + addresses_usd),
        saving_high_usd=usd(volumes_usd + addresses_usd),
        confidence=Confidence.HIGH,
        exclusive_group=instance.resource_id,
        action="Keep a snapshot of its volumes or an image of it, then terminate it.",
        risk="What only this instance has, such as its private address, is gone.",
        effort=Effort.MEDIUM,
        evidence={
            "stopped_since": since.isoformat(),
            "since_is": how,
            "age_days": age_of(since, context.now).days,
            "volumes": len(volumes),
            "volumes_gb": sum(size_gb(volume) for volume in volumes),
            "volumes_usd": str(usd(volumes_usd)),
            "snapshots_usd": str(usd(snapshots_usd)),
            "addresses": len(addresses),
            "addresses_usd": str(usd(addresses_usd)),
            **basis_of(book.volume(instance.region)),
        },
    )


def stopped_since(instance: Item) -> tuple[datetime, str]:
    """When it was stopped, and who says so."""
    found = _STOPPED_AT.search(str(instance.spec.get("state_reason") or ""))
    if found:
        try:
            at = datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        except ValueError:
            return in_state_since(instance), "first seen stopped"
        return at, "told by AWS"
    return in_state_since(instance), "first seen stopped"


RULE = Rule(
    id=RULE_ID,
    kind=INSTANCE,
    title="Volumes of a stopped instance",
    judge=judge,
    defaults={"min_age_days": 14},
    reads=(VOLUMES, ADDRESSES),
)
