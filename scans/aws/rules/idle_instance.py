"""ec2.idle: an instance that computes nothing, sends nothing and stores nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from scans.aws.collectors.rows import INSTANCE
from scans.aws.rules.finding import VOLUMES, Context, Finding, InstanceItem, Rule, label
from scans.aws.rules.knowledge import datapoints, figures_of, figures_or_none, known, tells_unknown
from scans.aws.rules.saving import (
    basis_of,
    coverage_evidence,
    group_risk,
    hourly_price,
    monthly,
    net_of_commitments,
)
from scans.aws.rules.volume_cost import volume_usd
from scans.models import Confidence, Effort

RULE_ID = "ec2.idle"
RUNNING = "running"
SECONDS_PER_DAY = 86_400


@tells_unknown(RULE_ID)
def judge(instance: InstanceItem, context: Context) -> Finding | None:
    """A finding for a running instance with p95 of CPU, daily traffic and disk operations below
    the limits for `min_days` or longer.

    Saving: its hours on demand, for it can be stopped; its volumes are paid on, and terminating
    it saves them as well. Disk operations that CloudWatch does not know make the confidence
    medium.
    """
    if instance.state != RUNNING:
        return None
    days, coverage = float(context.params["min_days"]), float(context.params["min_coverage"])
    cpu = figures_of(context, "cpu_percent", days=days, min_coverage=coverage)
    network = figures_of(context, "network_bytes", days=days, min_coverage=coverage)
    disk = figures_or_none(context, "disk_ops", days=days, min_coverage=coverage)
    cpu_p95 = known(cpu.p95, "cpu_percent")
    bytes_per_day = known(network.daily_total, "network_bytes")
    ops_per_second = known(disk.daily_total, "disk_ops") / SECONDS_PER_DAY if disk else None
    if (
        cpu_p95 > float(context.params["max_cpu_percent"])
        or bytes_per_day > float(context.params["max_network_mb_per_day"]) * 1e6
        or (ops_per_second or 0) > float(context.params["max_disk_ops_per_second"])
    ):
        return None
    price = hourly_price(instance, instance.instance_type, context)
    low, high = net_of_commitments(context, monthly(price.usd))
    return Finding(
        rule=RULE_ID,
        region=instance.region,
        resource_id=instance.resource_id,
        title=f"Instance {label(instance)} is idle",
        saving_low_usd=low,
        saving_high_usd=high,
        confidence=Confidence.HIGH if disk else Confidence.MEDIUM,
        exclusive_group=instance.resource_id,
        action="Stop it; after a while in which nobody misses it, terminate it.",
        risk="Something rare may still need it, and stopping changes a public address."
        + group_risk(instance.tags),
        effort=Effort.MEDIUM,
        evidence={
            "instance_type": instance.instance_type,
            "window_days": cpu.days_seen,
            "datapoints": datapoints(cpu),
            "cpu_p95_percent": round(cpu_p95, 2),
            "network_mb_per_day": round(bytes_per_day / 1e6, 3),
            "disk_ops_per_second": "unknown"
            if ops_per_second is None
            else round(ops_per_second, 3),
            "usd_per_hour": str(price.usd),
            **_volumes_evidence(instance, context),
            **basis_of(price),
            **coverage_evidence(context),
        },
    )


def _volumes_evidence(instance: InstanceItem, context: Context) -> dict[str, Any]:
    """What its volumes cost on, when they are known."""
    volumes = context.related.get(VOLUMES)
    if volumes is None:
        return {}
    total = sum((volume_usd(volume, context.prices) for volume in volumes), Decimal(0))
    return {"terminating_saves_usd_more": f"{total:.2f}"}


RULE = Rule(
    id=RULE_ID,
    kind=INSTANCE,
    title="Idle instance",
    judge=judge,
    defaults={
        "min_days": 14,
        "min_coverage": 0.8,
        "max_cpu_percent": 5,
        "max_network_mb_per_day": 5,
        # A system that only writes its own logs stays below; so "about zero".
        "max_disk_ops_per_second": 1,
    },
    reads=(VOLUMES,),
)
