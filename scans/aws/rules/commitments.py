"""commit.sp_gap and commit.expiring: what is steadily paid on demand, and what soon will be."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from scans.aws.rules.finding import Context, Finding, Rule, plain, usd
from scans.aws.rules.knowledge import NotKnownError, instant_of, tells_unknown
from scans.aws.rules.saving import monthly
from scans.models import Confidence, Effort

GAP = "commit.sp_gap"
EXPIRING = "commit.expiring"
COVERAGE_KIND = "commitment_coverage"
COMMITMENT_KIND = "commitment"
EVERYWHERE = "global"


@dataclass
class CommitmentItem:
    """What Cost Explorer says about an account's commitments, in the shape rules look at.

    Spec of the coverage: coverage (0 to 1), uncovered_monthly_usd, steady_hourly_usd; of one
    commitment: ends_at, monthly_usd, utilization (0 to 1); each `None` while unknown.
    """

    resource_id: str
    name: str
    spec: dict[str, Any]
    first_seen_at: datetime
    state_since: datetime | None = None
    region: str = EVERYWHERE
    state: str = "active"
    tags: dict[str, str] = field(default_factory=dict)


@tells_unknown(GAP)
def judge_gap(item: CommitmentItem, context: Context) -> Finding | None:
    """A finding when Savings Plans cover less than `max_coverage` of compute, and enough of the
    rest is there hour after hour.

    Saving: what nine days of ten had at least uncovered x `discount`: never more than that, or the
    plan would be paid for without use.
    """
    coverage, uncovered, steady = (
        item.spec.get(name) for name in ("coverage", "uncovered_monthly_usd", "steady_hourly_usd")
    )
    if coverage is None or uncovered is None or steady is None:
        raise NotKnownError("Cost Explorer did not tell the coverage by Savings Plans.")
    if (
        coverage >= context.usd("max_coverage")
        or uncovered < context.usd("min_uncovered_usd")
        or steady <= 0
    ):
        return None
    discount = context.usd("discount")
    saving = usd(monthly(steady * discount))
    return Finding(
        rule=GAP,
        region=item.region,
        resource_id=item.resource_id,
        title=f"Compute of {usd(uncovered)} USD a month has no Savings Plan",
        saving_low_usd=saving,
        saving_high_usd=saving,
        confidence=Confidence.MEDIUM,
        exclusive_group=GAP,
        action=f"Commit to at most {usd(steady * (1 - discount))} USD an hour for a year.",
        risk="A plan cannot be given back: clear away what is idle or oversized first.",
        effort=Effort.MEDIUM,
        evidence={
            "coverage": f"{coverage:.1%}",
            "uncovered_usd_per_month": str(usd(uncovered)),
            "steady_uncovered_usd_per_hour": f"{steady:.4f}",
            "steady_is": "what nine days of ten had at least",
            "discount": f"{discount:.0%}",
            "window_days": 30,
        },
    )


@tells_unknown(EXPIRING)
def judge_expiring(item: CommitmentItem, context: Context) -> Finding | None:
    """A finding for a plan or reservation that ends within `max_days_left`.

    Saving: what its usage will cost more on demand, at the assumed `discount`, times how much of
    it was used; from nothing, because it may no longer be needed.
    """
    ends_at = instant_of(item.spec, "ends_at")
    if ends_at is None:
        raise NotKnownError("When it ends is not known.")
    if not context.now < ends_at <= context.now + context.days("max_days_left"):
        return None
    paid, used = item.spec.get("monthly_usd"), item.spec.get("utilization")
    if paid is None:
        raise NotKnownError("What it costs is not known.")
    discount = context.usd("discount")
    share = Decimal(1) if used is None else Decimal(used)
    more = max(paid * share / (1 - discount) - paid, Decimal(0))
    return Finding(
        rule=EXPIRING,
        region=item.region,
        resource_id=item.resource_id,
        title=f"Commitment {plain(item.name)} ends on {ends_at:%Y-%m-%d}",
        saving_low_usd=Decimal(0),
        saving_high_usd=usd(more),
        confidence=Confidence.LOW,
        exclusive_group=item.resource_id,
        action="Decide whether to renew it, for what is still used.",
        risk="What it covers is paid at on-demand price from that day on.",
        effort=Effort.MEDIUM,
        is_upper_bound=True,
        evidence={
            "ends_at": ends_at.isoformat(),
            "days_left": (ends_at - context.now).days,
            "usd_per_month": str(usd(paid)),
            "utilization": "unknown" if used is None else f"{used:.1%}",
            "discount": f"{discount:.0%}",
        },
    )


GAP_RULE = Rule(
    id=GAP,
    kind=COVERAGE_KIND,
    title="Steady compute without a Savings Plan",
    judge=judge_gap,
    # A compute plan of one year without upfront payment; others give up to twice as much.
    defaults={"max_coverage": 0.7, "min_uncovered_usd": 50, "discount": 0.27},
)
EXPIRING_RULE = Rule(
    id=EXPIRING,
    kind=COMMITMENT_KIND,
    title="Commitment that ends soon",
    judge=judge_expiring,
    defaults={"max_days_left": 30, "discount": 0.27},
)
