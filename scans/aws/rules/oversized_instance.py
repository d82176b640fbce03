"""ec2.rightsize: a smaller size of the same family would do the same work."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from scans.aws.collectors.rows import INSTANCE
from scans.aws.prices import Price, PriceMissingError
from scans.aws.rules.finding import Context, Figures, Finding, InstanceItem, Rule, label, usd
from scans.aws.rules.idle_instance import RUNNING
from scans.aws.rules.instance_types import InstanceType, TypeUnknownError, smaller_than, type_of
from scans.aws.rules.knowledge import (
    NotKnownError,
    datapoints,
    figures_of,
    figures_or_none,
    known,
    tells_unknown,
)
from scans.aws.rules.saving import (
    basis_of,
    coverage_evidence,
    group_risk,
    hourly_price,
    hourly_prices,
    monthly,
    net_of_commitments,
)
from scans.models import Confidence, Effort

RULE_ID = "ec2.rightsize"


@dataclass(frozen=True)
class Usage:
    """What the instance needs at its busiest, as far as it is known."""

    cpu: Figures
    memory: Figures | None
    network: Figures | None
    disk: Figures | None


@tells_unknown(RULE_ID)
def judge(instance: InstanceItem, context: Context) -> Finding | None:
    """A finding when the p99 of CPU would be at most `max_cpu_percent` on a cheaper size.

    The cheapest that fits wins. With the agent's memory figures their p99 must fit as well
    (`max_memory_percent`); without them only sizes with fewer vCPUs count, of each number the one
    with most memory, and the confidence is low. Saving: the difference in price for the hours it
    runs; gaps in the datapoints count as hours it did not run at the lower end.
    """
    if instance.state != RUNNING:
        return None
    usage = _usage(context)
    current = _type_of(instance.instance_type)
    hourly_price(instance, current.name, context)  # unknown, unless it has one
    best = _best(instance, current, usage, context)
    if best is None:
        return None
    candidate, price, new_price = best
    saved = monthly(price.usd - new_price.usd)
    if saved < context.usd("min_saving_usd"):
        return None
    low, high = net_of_commitments(context, saved)
    running = Decimal(usage.cpu.datapoints) / max(usage.cpu.expected_in_days_seen, 1)
    return Finding(
        rule=RULE_ID,
        region=instance.region,
        resource_id=instance.resource_id,
        title=f"Instance {label(instance)} would do as {candidate.name}",
        saving_low_usd=usd(low * min(running, Decimal(1))),
        saving_high_usd=high,
        confidence=Confidence.HIGH if usage.memory else Confidence.LOW,
        exclusive_group=instance.resource_id,
        action=f"Stop it, change its type from {current.name} to {candidate.name}, start it.",
        risk=_risk(usage, current) + group_risk(instance.tags),
        effort=Effort.MEDIUM,
        evidence={
            "from_type": current.name,
            "to_type": candidate.name,
            "vcpus": [current.vcpus, candidate.vcpus],
            "memory_gib": [current.memory_gib, candidate.memory_gib],
            "window_days": usage.cpu.days_seen,
            "datapoints": datapoints(usage.cpu),
            **_usage_evidence(usage, current, candidate),
            "usd_per_hour": [str(price.usd), str(new_price.usd)],
            **basis_of(price, new_price),
            **coverage_evidence(context),
        },
    )


def _usage(context: Context) -> Usage:
    days, coverage = float(context.params["min_days"]), float(context.params["min_coverage"])
    return Usage(
        figures_of(context, "cpu_percent", days=days, min_coverage=coverage),
        *(
            figures_or_none(context, metric, days=days, min_coverage=coverage)
            for metric in ("memory_percent", "network_bytes", "disk_ops")
        ),
    )


def _type_of(name: str) -> InstanceType:
    try:
        return type_of(name)
    except TypeUnknownError as error:
        raise NotKnownError("Its instance type is not known.", str(error)) from error


def _best(
    instance: InstanceItem, current: InstanceType, usage: Usage, context: Context
) -> tuple[InstanceType, Price, Price] | None:
    """The cheapest that fits, today's price and its own."""
    fitting: list[tuple[InstanceType, Price, Price]] = []
    for candidate in _candidates(current, usage):
        if not _fits(current, candidate, usage, context):
            continue
        try:
            prices = hourly_prices(instance, current.name, candidate.name, context)
        except PriceMissingError:
            continue  # the next larger one may have a price
        fitting.append((candidate, *prices))
    return min(fitting, key=lambda found: found[2].usd, default=None)


def _candidates(current: InstanceType, usage: Usage) -> list[InstanceType]:
    smaller = smaller_than(current)
    if usage.memory:
        return smaller
    # Halving memory alone is a guess nobody should act on.
    most_memory: dict[int, InstanceType] = {}
    for candidate in smaller:  # the largest first
        if candidate.vcpus < current.vcpus:
            most_memory.setdefault(candidate.vcpus, candidate)
    return list(most_memory.values())


def _fits(current: InstanceType, candidate: InstanceType, usage: Usage, context: Context) -> bool:
    params = context.params
    if _cpu_on(candidate, current, usage.cpu.p99) > float(params["max_cpu_percent"]):
        return False
    # Beyond its baseline a burstable type runs out of credits, or costs more.
    if _cpu_on(candidate, current, usage.cpu.average) > candidate.baseline_percent:
        return False
    if usage.memory:
        used_gib = known(usage.memory.p99, "memory_percent") / 100 * current.memory_gib
        if used_gib > float(params["max_memory_percent"]) / 100 * candidate.memory_gib:
            return False
    if usage.network and usage.network.p99 is not None:
        bits = usage.network.p99 * 8 / usage.network.period_seconds
        if bits > candidate.network_gbps * 1e9:
            return False
    if usage.disk and usage.disk.p99 is not None:
        return usage.disk.p99 / usage.disk.period_seconds <= candidate.storage_iops
    return True


def _cpu_on(candidate: InstanceType, current: InstanceType, percent: float | None) -> float:
    return known(percent, "cpu_percent") * current.vcpus / candidate.vcpus


def _risk(usage: Usage, current: InstanceType) -> str:
    sentences = ["It is down for some minutes."]
    if not usage.memory:
        sentences.append("How much memory it needs is unknown: CloudWatch's agent does not run.")
    if current.family.has_instance_store:
        sentences.append("What is on its instance store is lost.")
    return " ".join(sentences)


def _usage_evidence(usage: Usage, current: InstanceType, candidate: InstanceType) -> dict[str, Any]:
    memory = "unknown"
    if usage.memory:
        memory = f"{known(usage.memory.p99, 'memory_percent'):.2f}"
    return {
        "cpu_p99_percent": round(known(usage.cpu.p99, "cpu_percent"), 2),
        "cpu_p99_percent_then": round(_cpu_on(candidate, current, usage.cpu.p99), 2),
        "memory_p99_percent": memory,
    }


RULE = Rule(
    id=RULE_ID,
    kind=INSTANCE,
    title="Oversized instance",
    judge=judge,
    defaults={
        "min_days": 14,
        "min_coverage": 0.8,
        "max_cpu_percent": 70,
        "max_memory_percent": 80,
        "min_saving_usd": 1,
    },
)
