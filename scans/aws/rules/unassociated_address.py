"""eip.unassociated: an address that leads nowhere is paid for all the same."""

from __future__ import annotations

from datetime import datetime

from scans.aws import prices
from scans.aws.collectors.addresses import UNASSOCIATED
from scans.aws.collectors.rows import ADDRESS
from scans.aws.rules.finding import Finding, Item, Params, Rule, days, label, usd
from scans.models import Confidence

RULE_ID = "eip.unassociated"


def judge(address: Item, *, now: datetime, params: Params) -> Finding | None:
    """A finding when the address has been unassociated for `min_age_days`.

    AWS tells neither when an address was allocated nor when it was released, so the age counts
    from the scan that first saw it unassociated, and an account's first scan finds none.
    Saving: the whole price, which an address in use costs as well: only releasing it saves.
    """
    if address.state != UNASSOCIATED or address.spec.get("is_own_range"):
        return None
    age = now - address.state_since
    if age < days(params, "min_age_days"):
        return None
    saving = usd(prices.ADDRESS_MONTHLY_USD)
    return Finding(
        rule=RULE_ID,
        region=address.region,
        resource_id=address.resource_id,
        title=f"Address {label(address)} is associated with nothing",
        saving_low_usd=saving,
        saving_high_usd=saving,
        confidence=Confidence.HIGH,
        exclusive_group=address.resource_id,
        evidence={
            "since": address.state_since.isoformat(),
            "since_is": "seen unassociated",
            "age_days": age.days,
            "public_ip": address.spec.get("public_ip", ""),
            "prices_as_of": prices.PRICES_AS_OF,
        },
    )


RULE = Rule(
    id=RULE_ID,
    kind=ADDRESS,
    title="Unassociated address",
    judge=judge,
    defaults={"min_age_days": 1},
)
