"""rds.snapshot: an old snapshot, taken by hand, of a database that is gone."""

from __future__ import annotations

from decimal import Decimal

from scans.aws.collectors.rows import DATABASE_SNAPSHOT
from scans.aws.rules.finding import DATABASES, Context, Finding, Item, Rule, label, plain, usd
from scans.aws.rules.knowledge import (
    NotKnownError,
    age_of,
    instant_of,
    related,
    tells_unknown,
)
from scans.aws.rules.old_snapshot import is_kept_by_policy
from scans.aws.rules.saving import basis_of
from scans.aws.rules.volume_cost import size_gb
from scans.models import Confidence, Effort

RULE_ID = "rds.snapshot"
AVAILABLE = "available"
MANUAL = "manual"


@tells_unknown(RULE_ID)
def judge(snapshot: Item, context: Context) -> Finding | None:
    """A finding for a manual snapshot of at least `min_age_days` whose database is gone.

    Automated ones go by themselves. Saving: at most the size of the database x price.
    """
    spec = snapshot.spec
    if snapshot.state != AVAILABLE or spec.get("snapshot_type") != MANUAL:
        return None
    if is_kept_by_policy(snapshot):
        return None
    created_at = instant_of(spec, "created_at")
    if created_at is None:
        raise NotKnownError("When it was taken is not known.")
    if context.now - created_at < context.days("min_age_days"):
        return None
    if related(context, DATABASES):
        return None
    price = context.prices.rds_snapshot_gb(snapshot.region)
    return Finding(
        rule=RULE_ID,
        region=snapshot.region,
        resource_id=snapshot.resource_id,
        title=f"Database snapshot {label(snapshot)} is old, and its database is gone",
        saving_low_usd=Decimal(0),
        saving_high_usd=usd(price.usd * size_gb(snapshot)),
        confidence=Confidence.MEDIUM,
        exclusive_group=snapshot.resource_id,
        action="Delete it, if nobody has to keep it.",
        risk="It may be the last copy of the database.",
        effort=Effort.MEDIUM,
        is_upper_bound=True,
        evidence={
            "taken_at": created_at.isoformat(),
            "age_days": age_of(created_at, context.now).days,
            "database": plain(str(spec.get("database_id", ""))),
            "database_gb": size_gb(snapshot),
            "usd_per_gb": str(price.usd),
            "saving_is": "at most: a snapshot holds only what is in use of the database's size",
            **basis_of(price),
        },
    )


RULE = Rule(
    id=RULE_ID,
    kind=DATABASE_SNAPSHOT,
    title="Old snapshot of a database that is gone",
    judge=judge,
    defaults={"min_age_days": 30},
    reads=(DATABASES,),
)
