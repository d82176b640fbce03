"""prev_gen and graviton: the same work on newer processors, or on other ones, costs less."""

from __future__ import annotations

from scans.aws.collectors.rows import INSTANCE
from scans.aws.rules.finding import Context, Finding, InstanceItem, Rule, label
from scans.aws.rules.idle_instance import RUNNING
from scans.aws.rules.instance_types import (
    TYPES_AS_OF,
    InstanceType,
    TypeUnknownError,
    in_family,
    type_of,
)
from scans.aws.rules.knowledge import NotKnownError, tells_unknown
from scans.aws.rules.saving import (
    basis_of,
    coverage_evidence,
    group_risk,
    hourly_prices,
    monthly,
    net_of_commitments,
)
from scans.models import Confidence, Effort

PREVIOUS = "prev_gen"
GRAVITON = "ec2.graviton"
LINUX = ("", "Linux/UNIX")


@tells_unknown(PREVIOUS)
def judge_generation(instance: InstanceItem, context: Context) -> Finding | None:
    """A finding for a running instance of a generation that AWS calls previous, if the family
    that follows it costs less for as many vCPUs and as much memory."""
    if instance.state != RUNNING:
        return None
    current = _type_of(instance)
    if current.family.is_current or not current.family.successor:
        return None
    risk = "The newer family needs the ENA and NVMe drivers; it is down for some minutes."
    if current.family.has_instance_store:
        risk += " Its instance store has no counterpart: what is on it is lost."
    return _finding(
        PREVIOUS,
        instance,
        context,
        (current, _in_family(current, current.family.successor)),
        effort=Effort.MEDIUM,
        confidence=Confidence.HIGH,
        risk=risk,
    )


@tells_unknown(GRAVITON)
def judge_graviton(instance: InstanceItem, context: Context) -> Finding | None:
    """A finding for a running Linux instance whose family has a cheaper counterpart on AWS's own
    ARM processors. Its programs have to be built for them: high effort."""
    if instance.state != RUNNING or instance.platform not in LINUX:
        return None
    current = _type_of(instance)
    if not current.family.graviton:
        return None
    return _finding(
        GRAVITON,
        instance,
        context,
        (current, _in_family(current, current.family.graviton)),
        effort=Effort.HIGH,
        confidence=Confidence.LOW,
        risk="Another architecture: image and programs must exist for arm64.",
    )


def _finding(
    rule: str,
    instance: InstanceItem,
    context: Context,
    change: tuple[InstanceType, InstanceType],
    *,
    effort: Effort,
    confidence: Confidence,
    risk: str,
) -> Finding | None:
    current, candidate = change
    price, new_price = hourly_prices(instance, current.name, candidate.name, context)
    saved = monthly(price.usd - new_price.usd)
    if saved < context.usd("min_saving_usd"):
        return None
    low, high = net_of_commitments(context, saved)
    return Finding(
        rule=rule,
        region=instance.region,
        resource_id=instance.resource_id,
        title=f"Instance {label(instance)} is cheaper as {candidate.name}",
        saving_low_usd=low,
        saving_high_usd=high,
        confidence=confidence,
        exclusive_group=instance.resource_id,
        action=f"Stop it, change its type from {current.name} to {candidate.name}, start it."
        if effort != Effort.HIGH
        else f"Replace this {current.name} by a {candidate.name} with an arm64 image.",
        risk=risk + group_risk(instance.tags),
        effort=effort,
        evidence={
            "from_type": current.name,
            "to_type": candidate.name,
            "vcpus": [current.vcpus, candidate.vcpus],
            "memory_gib": [current.memory_gib, candidate.memory_gib],
            "types_as_of": TYPES_AS_OF,
            "usd_per_hour": [str(price.usd), str(new_price.usd)],
            **basis_of(price, new_price),
            **coverage_evidence(context),
        },
    )


def _type_of(instance: InstanceItem) -> InstanceType:
    try:
        return type_of(instance.instance_type)
    except TypeUnknownError as error:
        raise NotKnownError("Its instance type is not known.", str(error)) from error


def _in_family(current: InstanceType, family: str) -> InstanceType:
    try:
        return in_family(current, family)
    except TypeUnknownError as error:
        raise NotKnownError("No type of the newer family is known to do.", str(error)) from error


PREVIOUS_RULE = Rule(
    id=PREVIOUS,
    kind=INSTANCE,
    title="Instance of a previous generation",
    judge=judge_generation,
    defaults={"min_saving_usd": 1},
)
GRAVITON_RULE = Rule(
    id=GRAVITON,
    kind=INSTANCE,
    title="Instance that could run on Graviton",
    judge=judge_graviton,
    defaults={"min_saving_usd": 1},
    # True of nearly every x86 instance: it would bury what is plain waste.
    is_on_by_default=False,
)
