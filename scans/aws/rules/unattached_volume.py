"""ebs.unattached: a volume that no instance uses is paid for all the same."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils.dateparse import parse_datetime

from scans.aws import prices
from scans.aws.collectors.rows import VOLUME
from scans.aws.rules.finding import (
    Finding,
    Item,
    Params,
    Rule,
    days,
    label,
    usd,
    was_never_otherwise,
)
from scans.models import Confidence

RULE_ID = "ebs.unattached"
AVAILABLE = "available"


def judge(volume: Item, *, now: datetime, params: Params) -> Finding | None:
    """A finding when the volume has been unattached for `min_age_days`.

    AWS does not tell when a volume was detached, so the age counts from the scan that first saw
    it unattached: high confidence. An account's first scan has seen nothing yet; there, a volume
    that no scan ever saw attached counts from its creation, with low confidence, because it may
    have been detached an hour ago. One that a scan saw attached never takes this way.

    Saving: the volume's list price is the upper end; the lower end keeps a full snapshot of it,
    the safe way to delete one.
    """
    if volume.state != AVAILABLE:
        return None
    min_age = days(params, "min_age_days")
    since, confidence = volume.state_since, Confidence.HIGH
    if now - since < min_age:
        created_at = _created_at(volume.spec)
        if created_at is None or not was_never_otherwise(volume):
            return None
        since, confidence = created_at, Confidence.LOW
    if now - since < min_age:
        return None
    return _finding(volume, since, now - since, confidence)


def _finding(
    volume: Item, since: datetime, age: timedelta, confidence: Confidence
) -> Finding | None:
    spec = volume.spec
    try:
        cost = prices.volume_monthly_usd(
            spec["volume_type"],
            volume.region,
            size_gb=spec["size_gb"],
            iops=spec.get("iops"),
            throughput_mbps=spec.get("throughput_mbps"),
        )
    except prices.PriceMissingError:
        return None
    listed = prices.volume_prices(volume.region)
    snapshot = listed.snapshot_gb * spec["size_gb"]
    return Finding(
        rule=RULE_ID,
        region=volume.region,
        resource_id=volume.resource_id,
        title=f"Volume {label(volume)} is attached to nothing",
        saving_low_usd=usd(max(cost - snapshot, cost * 0)),
        saving_high_usd=usd(cost),
        confidence=confidence,
        exclusive_group=volume.resource_id,
        evidence={
            "since": since.isoformat(),
            "since_is": "seen unattached" if confidence == Confidence.HIGH else "created",
            "age_days": age.days,
            "volume_type": spec["volume_type"],
            "size_gb": spec["size_gb"],
            "snapshot_usd": str(usd(snapshot)),
            "price_region": listed.price_region,
            "prices_as_of": prices.PRICES_AS_OF,
        },
    )


def _created_at(spec: dict[str, Any]) -> datetime | None:
    text = spec.get("created_at")
    return parse_datetime(text) if text else None


RULE = Rule(
    id=RULE_ID,
    kind=VOLUME,
    title="Unattached volume",
    judge=judge,
    defaults={"min_age_days": 7},
)
