"""elb.idle: a load balancer with nothing behind it, or nothing before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scans.aws.collectors.rows import LOAD_BALANCER
from scans.aws.rules.finding import METRICS, Context, Figures, Finding, Item, Rule, label, usd
from scans.aws.rules.knowledge import (
    NotKnownError,
    datapoints,
    figures_of,
    instant_of,
    known,
    tells_unknown,
)
from scans.aws.rules.saving import basis_of, monthly
from scans.models import Confidence, Effort

RULE_ID = "elb.idle"
STATES = frozenset({"", "active", "active_impaired"})
# Application and classic ones count requests, the others connections.
DEMAND = {"network": "new_flows", "gateway": "new_flows"}
# CloudWatch writes it only for hours that had some.
SPARSE = "request_count"


@dataclass(frozen=True)
class Idleness:
    why: str
    confidence: Confidence
    evidence: dict[str, Any]


@tells_unknown(RULE_ID)
def judge(balancer: Item, context: Context) -> Finding | None:
    """A finding when no target was healthy for `min_days_without_targets`, or when there were
    fewer than `max_requests_per_day` in `min_days` or more.

    Saving: its hours, without the capacity units it would use.
    """
    if balancer.state not in STATES:
        return None
    idleness = _without_targets(balancer, context) or _without_requests(balancer, context)
    if idleness is None:
        return None
    price = context.prices.load_balancer_hourly(str(balancer.spec.get("type")), balancer.region)
    saving = usd(monthly(price.usd))
    return Finding(
        rule=RULE_ID,
        region=balancer.region,
        resource_id=balancer.resource_id,
        title=f"Load balancer {label(balancer)} {idleness.why}",
        saving_low_usd=saving,
        saving_high_usd=saving,
        confidence=idleness.confidence,
        exclusive_group=balancer.resource_id,
        action="Delete it.",
        risk="Its name in DNS leads nowhere then.",
        effort=Effort.MEDIUM,
        evidence={
            "type": balancer.spec.get("type"),
            **idleness.evidence,
            "usd_per_hour": str(price.usd),
            **basis_of(price),
        },
    )


def _without_targets(balancer: Item, context: Context) -> Idleness | None:
    """No target is healthy now, nor was any lately. Where CloudWatch counts none at all, none was
    registered: it counts for groups with targets only."""
    if balancer.spec.get("healthy_targets") != 0:
        return None
    days = float(context.params["min_days_without_targets"])
    hosts = context.metrics.get("healthy_hosts")
    evidence: dict[str, Any] = {"healthy_targets": 0}
    if hosts is None or not hosts.datapoints:
        if METRICS in context.unseen or _age_days(balancer, context) < days:
            return None
        if _redirects(balancer, context):
            return None
        return Idleness("has no targets", Confidence.MEDIUM, evidence)
    if any(value for value in _last_days(hosts, days)):
        return None
    if hosts.days_seen < days:
        return None
    evidence |= {"window_days": days, "datapoints": datapoints(hosts)}
    return Idleness("has no healthy targets", Confidence.HIGH, evidence)


def _redirects(balancer: Item, context: Context) -> bool:
    """It needs no targets: it answers requests by redirects or fixed texts of its own."""
    requests = context.metrics.get(SPARSE)
    if balancer.spec.get("target_groups") != [] or requests is None:
        return False
    per_day = (requests.total or 0.0) / requests.window_days
    return per_day >= float(context.params["max_requests_per_day"])


def _last_days(hosts: Figures, days: float) -> list[float | None]:
    if hosts.daily is None:
        return [hosts.maximum]
    return list(hosts.daily[-max(1, round(days)) :])


def _without_requests(balancer: Item, context: Context) -> Idleness | None:
    """Raises `NotKnownError` when its requests are not known for long enough."""
    metric = DEMAND.get(str(balancer.spec.get("type")), SPARSE)
    days = float(context.params["min_days"])
    if metric == SPARSE:
        figures, per_day = _sparse_requests(balancer, context, days)
    else:
        figures = figures_of(
            context, metric, days=days, min_coverage=float(context.params["min_coverage"])
        )
        per_day = known(figures.daily_total, metric)
    if per_day >= float(context.params["max_requests_per_day"]):
        return None
    return Idleness(
        "has hardly any requests",
        Confidence.HIGH if figures.datapoints else Confidence.MEDIUM,
        {
            "window_days": figures.window_days,
            "datapoints": datapoints(figures),
            "requests_per_day": round(per_day, 1),
            "healthy_targets": balancer.spec.get("healthy_targets"),
        },
    )


def _sparse_requests(balancer: Item, context: Context, days: float) -> tuple[Figures, float]:
    """The figures and the requests a day, an hour without a value counting as none."""
    figures = context.metrics.get(SPARSE)
    if figures is None:
        reason = context.unseen.get(METRICS) or "CloudWatch was not asked about requests."
        raise NotKnownError(reason, f"{days:g} days of requests")
    there = max(_age_days(balancer, context), float(figures.days_seen))
    seen = min(float(figures.window_days), there)
    if seen < days:
        raise NotKnownError(
            f"It has been there for less than {days:g} days.", f"{days:g} days of requests"
        )
    return figures, (figures.total or 0.0) / seen


def _age_days(balancer: Item, context: Context) -> float:
    born = min(instant_of(balancer.spec, "created_at") or context.now, balancer.first_seen_at)
    return (context.now - born).total_seconds() / 86_400


RULE = Rule(
    id=RULE_ID,
    kind=LOAD_BALANCER,
    title="Idle load balancer",
    judge=judge,
    defaults={
        "min_days_without_targets": 7,
        "min_days": 14,
        "min_coverage": 0.8,
        "max_requests_per_day": 100,
    },
)
