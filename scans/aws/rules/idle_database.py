"""rds.idle: a database that nobody connects to."""

from __future__ import annotations

from decimal import Decimal

from scans.aws.collectors.rows import DATABASE
from scans.aws.prices import PriceMissingError
from scans.aws.rules.finding import Context, Finding, Item, Rule, label, usd
from scans.aws.rules.knowledge import NotKnownError, datapoints, figures_of, known, tells_unknown
from scans.aws.rules.saving import basis_of, monthly
from scans.models import Confidence, Effort

RULE_ID = "rds.idle"
AVAILABLE = "available"


@tells_unknown(RULE_ID)
def judge(database: Item, context: Context) -> Finding | None:
    """A finding when nobody connected in `min_days` or more. Replicas wait for their use.

    Saving: the instance, with a standby in another zone twice; the upper end also deletes its
    storage. A stopped one starts again by itself after seven days.
    """
    spec = database.spec
    if database.state != AVAILABLE or spec.get("is_replica"):
        return None
    figures = figures_of(
        context,
        "connections",
        days=float(context.params["min_days"]),
        min_coverage=float(context.params["min_coverage"]),
    )
    most = known(figures.maximum, "connections")
    if most > float(context.params["max_connections"]):
        return None
    if spec.get("cluster_id"):
        raise NotKnownError("It belongs to a cluster and may be its standby.")
    multi_az = bool(spec.get("multi_az"))
    price = context.prices.rds_hourly(
        str(spec.get("instance_class", "")),
        str(spec.get("engine", "")),
        database.region,
        multi_az=multi_az,
    )
    storage = _storage_usd(database, context, multi_az=multi_az)
    return Finding(
        rule=RULE_ID,
        region=database.region,
        resource_id=database.resource_id,
        title=f"Database {label(database)} has no connections",
        saving_low_usd=usd(monthly(price.usd)),
        saving_high_usd=usd(monthly(price.usd) + (storage or Decimal(0))),
        confidence=Confidence.HIGH,
        exclusive_group=database.resource_id,
        action="Take a final snapshot and delete it. Stopped, it starts again after seven days.",
        risk="Something that connects less than once in this time fails."
        + (" It has read replicas." if spec.get("replica_ids") else ""),
        effort=Effort.MEDIUM,
        evidence={
            "instance_class": spec.get("instance_class", ""),
            "engine": spec.get("engine", ""),
            "multi_az": multi_az,
            "window_days": figures.days_seen,
            "datapoints": datapoints(figures),
            "connections_at_most": round(most),
            "usd_per_hour": str(price.usd),
            "storage_gb": spec.get("storage_gb"),
            "storage_usd": "unknown" if storage is None else str(usd(storage)),
            "reservations": "not considered: reserved instances are paid for in any case",
            **basis_of(price),
        },
    )


def _storage_usd(database: Item, context: Context, *, multi_az: bool) -> Decimal | None:
    """Of the storage and its provisioned IOPS a month, `None` when it has no list price."""
    kind, book = str(database.spec.get("storage_type", "")), context.prices
    try:
        per_gb = book.rds_storage_gb(kind, database.region, multi_az=multi_az).usd
        total = per_gb * int(database.spec.get("storage_gb") or 0)
        if kind in ("io1", "io2"):
            per_iops = book.rds_iops(kind, database.region, multi_az=multi_az).usd
            total += per_iops * int(database.spec.get("iops") or 0)
    except PriceMissingError:
        return None
    return total


RULE = Rule(
    id=RULE_ID,
    kind=DATABASE,
    title="Database without connections",
    judge=judge,
    defaults={"min_days": 14, "min_coverage": 0.8, "max_connections": 0},
)
