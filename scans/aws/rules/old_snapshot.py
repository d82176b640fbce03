"""ebs.snapshot_old: its volume is gone, no image needs it and no policy keeps it."""

from __future__ import annotations

from decimal import Decimal

from scans.aws.collectors.rows import SNAPSHOT
from scans.aws.rules.finding import IMAGES, VOLUMES, Context, Finding, Item, Rule, label, usd
from scans.aws.rules.knowledge import (
    NotKnownError,
    age_of,
    instant_of,
    related,
    tells_unknown,
)
from scans.aws.rules.saving import basis_of
from scans.aws.rules.volume_cost import size_gb
from scans.models import Confidence, Effort

RULE_ID = "ebs.snapshot_old"
COMPLETED = "completed"
ARCHIVE = "archive"
# Whoever set these keeps and deletes snapshots by rules of his own.
POLICY_TAGS = ("aws:dlm:", "dlm:", "aws:backup:", "backup")


@tells_unknown(RULE_ID)
def judge(snapshot: Item, context: Context) -> Finding | None:
    """A finding for a snapshot of at least `min_age_days` whose volume is gone, that no image of
    the account uses, and that no lifecycle policy, AWS Backup or tag "backup" keeps.

    Saving: at most size x price, because a snapshot holds only what others of the volume do not,
    and AWS tells nobody how much that is.
    """
    if snapshot.state != COMPLETED or is_kept_by_policy(snapshot):
        return None
    started_at = instant_of(snapshot.spec, "started_at")
    if started_at is None:
        raise NotKnownError("When it was taken is not known.")
    if context.now - started_at < context.days("min_age_days"):
        return None
    if related(context, IMAGES) or related(context, VOLUMES):
        return None
    if snapshot.spec.get("storage_tier") == ARCHIVE:
        return None  # as cheap as it can be, and paid for 90 days in any case
    price = context.prices.snapshot_gb(snapshot.region)
    return Finding(
        rule=RULE_ID,
        region=snapshot.region,
        resource_id=snapshot.resource_id,
        title=f"Snapshot {label(snapshot)} is old, and its volume is gone",
        saving_low_usd=Decimal(0),
        saving_high_usd=usd(price.usd * size_gb(snapshot)),
        confidence=Confidence.MEDIUM,
        exclusive_group=snapshot.resource_id,
        action="Delete it, if nobody has to keep it.",
        risk="It may be the last copy of the volume. Images of other accounts that use it are "
        "not seen.",
        effort=Effort.MEDIUM,
        is_upper_bound=True,
        evidence={
            "taken_at": started_at.isoformat(),
            "age_days": age_of(started_at, context.now).days,
            "volume_id": str(snapshot.spec.get("volume_id", "")),
            "volume_gb": size_gb(snapshot),
            "usd_per_gb": str(price.usd),
            "saving_is": "at most: a snapshot holds only what others of the volume do not",
            **basis_of(price),
        },
    )


def is_kept_by_policy(snapshot: Item) -> bool:
    return any(str(tag).lower().startswith(POLICY_TAGS) for tag in snapshot.tags or ())


RULE = Rule(
    id=RULE_ID,
    kind=SNAPSHOT,
    title="Old snapshot of a volume that is gone",
    judge=judge,
    defaults={"min_age_days": 90},
    reads=(IMAGES, VOLUMES),
)
