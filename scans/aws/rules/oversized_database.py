"""rds.oversize: a database that half of its machine would serve."""

from __future__ import annotations

from typing import Any

from scans.aws.collectors.rows import DATABASE
from scans.aws.prices import GP2_HIGHEST_IOPS, GP2_IOPS_PER_GB, GP3_FREE_IOPS
from scans.aws.rules.finding import Context, Figures, Finding, Item, Rule, label, usd
from scans.aws.rules.idle_database import AVAILABLE
from scans.aws.rules.instance_types import InstanceType, TypeUnknownError, smaller_than, type_of
from scans.aws.rules.knowledge import NotKnownError, datapoints, figures_of, known, tells_unknown
from scans.aws.rules.saving import basis_of, monthly
from scans.models import Confidence, Effort

RULE_ID = "rds.oversize"
GIB = 1024**3
GP2_LEAST_IOPS = 100
MAGNETIC_IOPS = 100


@tells_unknown(RULE_ID)
def judge(database: Item, context: Context) -> Finding | None:
    """A finding when p99 of CPU, free memory and p99 of storage operations leave room for the next
    smaller class of the family.

    Free memory is that of the day with least. Saving: the difference in price, with a standby
    twice.
    """
    spec = database.spec
    if database.state != AVAILABLE:
        return None
    cpu, memory, iops = (
        _figures(context, metric) for metric in ("cpu_percent", "freeable_memory_bytes", "rds_iops")
    )
    current = _class_of(str(spec.get("instance_class", "")))
    free_percent = _least(memory) / (current.memory_gib * GIB) * 100
    iops_percent = _iops_percent(known(iops.p99, "rds_iops"), spec)
    cpu_p99 = known(cpu.p99, "cpu_percent")
    if (
        cpu_p99 > float(context.params["max_cpu_percent"])
        or free_percent < float(context.params["min_free_memory_percent"])
        or (iops_percent or 0) > float(context.params["max_iops_percent"])
    ):
        return None
    candidate = _next_smaller(current)
    if candidate is None:
        return None
    multi_az, engine = bool(spec.get("multi_az")), str(spec.get("engine", ""))
    price, new_price = (
        context.prices.rds_hourly(f"db.{of.name}", engine, database.region, multi_az=multi_az)
        for of in (current, candidate)
    )
    saving = usd(monthly(price.usd - new_price.usd))
    if price.price_region != new_price.price_region or saving < context.usd("min_saving_usd"):
        return None
    return Finding(
        rule=RULE_ID,
        region=database.region,
        resource_id=database.resource_id,
        title=f"Database {label(database)} would do as db.{candidate.name}",
        saving_low_usd=saving,
        saving_high_usd=saving,
        confidence=Confidence.MEDIUM,
        exclusive_group=database.resource_id,
        action=f"Change its class from db.{current.name} to db.{candidate.name}.",
        risk="It restarts; with less memory for its cache it reads more from storage.",
        effort=Effort.MEDIUM,
        evidence={
            "from_class": f"db.{current.name}",
            "to_class": f"db.{candidate.name}",
            "engine": engine,
            "multi_az": multi_az,
            "window_days": cpu.days_seen,
            "datapoints": datapoints(cpu),
            "cpu_p99_percent": round(cpu_p99, 2),
            "free_memory_percent": round(free_percent, 1),
            "iops_p99_percent": "unknown" if iops_percent is None else round(iops_percent, 1),
            "usd_per_hour": [str(price.usd), str(new_price.usd)],
            "reservations": "not considered: reserved instances are paid for in any case",
            **basis_of(price, new_price),
        },
    )


def _figures(context: Context, metric: str) -> Figures:
    return figures_of(
        context,
        metric,
        days=float(context.params["min_days"]),
        min_coverage=float(context.params["min_coverage"]),
    )


def _least(memory: Figures) -> float:
    """Free memory on the day with least, in bytes."""
    days = [value for value in memory.daily or () if value is not None]
    return min(days) if days else known(memory.average, "freeable_memory_bytes")


def _class_of(name: str) -> InstanceType:
    try:
        return type_of(name)
    except TypeUnknownError as error:
        raise NotKnownError("Its instance class is not known.", str(error)) from error


def _iops_percent(p99: float, spec: Any) -> float | None:
    """Of what its storage gives at all times, `None` where there is no such limit."""
    kind, size_gb = spec.get("storage_type"), int(spec.get("storage_gb") or 0)
    available = {
        "gp2": max(GP2_LEAST_IOPS, min(GP2_HIGHEST_IOPS, GP2_IOPS_PER_GB * size_gb)),
        "gp3": max(GP3_FREE_IOPS, int(spec.get("iops") or 0)),
        "io1": int(spec.get("iops") or 0),
        "io2": int(spec.get("iops") or 0),
        "standard": MAGNETIC_IOPS,
    }.get(str(kind), 0)
    return p99 / available * 100 if available else None


def _next_smaller(current: InstanceType) -> InstanceType | None:
    """RDS has no `medium` but of burstable classes."""
    for candidate in smaller_than(current):
        if candidate.size != "medium" or current.family.is_burstable:
            return candidate
    return None


RULE = Rule(
    id=RULE_ID,
    kind=DATABASE,
    title="Oversized database",
    judge=judge,
    defaults={
        "min_days": 14,
        "min_coverage": 0.8,
        "max_cpu_percent": 30,
        "min_free_memory_percent": 50,
        "max_iops_percent": 50,
        "min_saving_usd": 1,
    },
)
