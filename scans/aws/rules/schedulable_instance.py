"""ec2.schedule: an instance that sleeps at the same hours each week could be off then."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from scans.aws.collectors.rows import INSTANCE
from scans.aws.rules.finding import Context, Figures, Finding, InstanceItem, Rule, label
from scans.aws.rules.idle_instance import RUNNING
from scans.aws.rules.knowledge import (
    NotKnownError,
    datapoints,
    figures_of,
    tells_unknown,
)
from scans.aws.rules.saving import (
    basis_of,
    coverage_evidence,
    group_risk,
    hourly_price,
    net_of_commitments,
)
from scans.models import Confidence, Effort

RULE_ID = "ec2.schedule"
HOURS_PER_WEEK = 168
WEEKS_PER_MONTH = Decimal("4.345")
ALL_DAYS = 28  # with so many one busy week may be an exception
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@tells_unknown(RULE_ID)
def judge(instance: InstanceItem, context: Context) -> Finding | None:
    """A finding for hours of the week, at least `min_idle_hours` in a row, in which CPU and
    traffic were below the limits in three weeks of four.

    Two weeks, all that a scan reads unless `AWS_METRICS_DAYS` is longer, must both have slept, and
    the confidence is low: what happens once a month was not seen. Saving: on-demand price x idle
    hours a week x 4.345.
    """
    if instance.state != RUNNING:
        return None
    days, coverage = float(context.params["min_days"]), float(context.params["min_coverage"])
    cpu = figures_of(context, "cpu_percent", days=days, min_coverage=coverage)
    network = figures_of(context, "network_bytes", days=days, min_coverage=coverage)
    idle = _idle_hours(
        _hours(cpu),
        _hours(network),
        max_cpu=float(context.params["max_cpu_percent"]),
        max_bytes=float(context.params["max_network_bytes_per_second"]) * network.period_seconds,
    )
    runs = runs_of(idle, at_least=int(context.params["min_idle_hours"]))
    hours = sum(length for _, length in runs)
    if not runs:
        return None
    price = hourly_price(instance, instance.instance_type, context)
    low, high = net_of_commitments(context, price.usd * hours * WEEKS_PER_MONTH)
    return Finding(
        rule=RULE_ID,
        region=instance.region,
        resource_id=instance.resource_id,
        title=f"Instance {label(instance)} sleeps {hours} hours a week",
        saving_low_usd=low,
        saving_high_usd=high,
        confidence=Confidence.MEDIUM if cpu.days_seen >= ALL_DAYS else Confidence.LOW,
        exclusive_group=instance.resource_id,
        action="Stop and start it by schedule.",
        risk="Whoever needs it at other hours must start it." + group_risk(instance.tags),
        effort=Effort.MEDIUM,
        evidence={
            "instance_type": instance.instance_type,
            "window_days": cpu.days_seen,
            "datapoints": datapoints(cpu),
            "idle_hours_per_week": hours,
            "idle_hours_utc": [_words(start, length) for start, length in runs],
            "usd_per_hour": str(price.usd),
            **basis_of(price),
            **coverage_evidence(context),
        },
    )


def _hours(figures: Figures) -> Sequence[float | None]:
    if figures.hour_of_week is None or len(figures.hour_of_week) != HOURS_PER_WEEK:
        raise NotKnownError("How busy it is by the hour of the week is not known.")
    return figures.hour_of_week


def _idle_hours(
    cpu: Sequence[float | None],
    network: Sequence[float | None],
    *,
    max_cpu: float,
    max_bytes: float,
) -> list[bool]:
    """An hour without a value is not idle: it is unknown. When no hour is known to be busy, that
    is no schedule but an idle instance, and for `ec2.idle` to say."""
    known = [
        None if percent is None or bytes_ is None else percent <= max_cpu and bytes_ <= max_bytes
        for percent, bytes_ in zip(cpu, network, strict=True)
    ]
    return [is_idle is True and False in known for is_idle in known]


def runs_of(idle: Sequence[bool], *, at_least: int) -> list[tuple[int, int]]:
    """(first hour, length) of the stretches of idle hours, over the week's end as well."""
    size = len(idle)
    if all(idle):
        return [(0, size)] if size else []
    start_at = next(hour for hour in range(size) if not idle[hour])
    runs: list[tuple[int, int]] = []
    length = 0
    for offset in range(1, size + 1):
        hour = (start_at + offset) % size
        if idle[hour]:
            length += 1
            continue
        if length >= at_least:
            runs.append(((hour - length) % size, length))
        length = 0
    return sorted(runs)


def _words(start: int, length: int) -> str:
    """`Mon 20:00 to Tue 06:00`."""
    end = (start + length) % HOURS_PER_WEEK
    first, last = divmod(start, 24), divmod(end, 24)
    return f"{_DAYS[first[0]]} {first[1]:02}:00 to {_DAYS[last[0]]} {last[1]:02}:00"


RULE = Rule(
    id=RULE_ID,
    kind=INSTANCE,
    title="Instance that could be off at times",
    judge=judge,
    defaults={
        "min_days": 14,
        "min_coverage": 0.8,
        "min_idle_hours": 3,
        "max_cpu_percent": 5,
        "max_network_bytes_per_second": 1000,
    },
)
