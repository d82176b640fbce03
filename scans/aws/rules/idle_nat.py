"""nat.idle: a NAT gateway through which nothing goes."""

from __future__ import annotations

from scans.aws.collectors.rows import NAT_GATEWAY
from scans.aws.rules.finding import Context, Finding, Item, Rule, label, usd
from scans.aws.rules.knowledge import datapoints, figures_of, known, tells_unknown
from scans.aws.rules.saving import basis_of, monthly
from scans.models import Confidence, Effort

RULE_ID = "nat.idle"
AVAILABLE = "available"


@tells_unknown(RULE_ID)
def judge(gateway: Item, context: Context) -> Finding | None:
    """A finding when the bytes to and from its destinations were about none in `min_days` or more.
    Saving: its hours, without what it would process."""
    if gateway.state != AVAILABLE:
        return None
    figures = figures_of(
        context,
        "bytes_processed",
        days=float(context.params["min_days"]),
        min_coverage=float(context.params["min_coverage"]),
    )
    bytes_per_day = known(figures.daily_total, "bytes_processed")
    if bytes_per_day > float(context.params["max_mb_per_day"]) * 1e6:
        return None
    price = context.prices.nat_hourly(gateway.region)
    saving = usd(monthly(price.usd))
    return Finding(
        rule=RULE_ID,
        region=gateway.region,
        resource_id=gateway.resource_id,
        title=f"NAT gateway {label(gateway)} has nothing to do",
        saving_low_usd=saving,
        saving_high_usd=saving,
        confidence=Confidence.HIGH,
        exclusive_group=gateway.resource_id,
        action="Take it out of the route tables, then delete it and release its address.",
        risk="What rarely goes out from its subnets no longer can.",
        effort=Effort.MEDIUM,
        evidence={
            "window_days": figures.days_seen,
            "datapoints": datapoints(figures),
            "mb_per_day": round(bytes_per_day / 1e6, 3),
            "usd_per_hour": str(price.usd),
            "addresses_besides": len(gateway.spec.get("public_ips") or ()),
            **basis_of(price),
        },
    )


RULE = Rule(
    id=RULE_ID,
    kind=NAT_GATEWAY,
    title="NAT gateway without traffic",
    judge=judge,
    defaults={"min_days": 14, "min_coverage": 0.8, "max_mb_per_day": 1},
)
