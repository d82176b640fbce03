"""eip.unassociated: an address that leads nowhere is paid for all the same."""

from __future__ import annotations

from scans.aws.collectors.addresses import UNASSOCIATED
from scans.aws.collectors.rows import ADDRESS
from scans.aws.rules.finding import (
    Context,
    Finding,
    Item,
    Rule,
    in_state_since,
    label,
    plain,
    usd,
)
from scans.aws.rules.knowledge import age_of, tells_unknown
from scans.aws.rules.saving import basis_of, monthly
from scans.models import Confidence

RULE_ID = "eip.unassociated"


@tells_unknown(RULE_ID)
def judge(address: Item, context: Context) -> Finding | None:
    """A finding when the address has been unassociated for `min_age_days`.

    AWS tells neither when an address was allocated nor when it was released, so the age counts
    from the scan that first saw it unassociated, and an account's first scan finds none.
    Saving: the whole price, which an address in use costs as well: only releasing it saves.
    """
    if address.state != UNASSOCIATED or address.spec.get("is_own_range"):
        return None
    since = in_state_since(address)
    if context.now - since < context.days("min_age_days"):
        return None
    price = context.prices.address_hourly(address.region)
    saving = usd(monthly(price.usd))
    return Finding(
        rule=RULE_ID,
        region=address.region,
        resource_id=address.resource_id,
        title=f"Address {label(address)} is associated with nothing",
        saving_low_usd=saving,
        saving_high_usd=saving,
        confidence=Confidence.HIGH,
        exclusive_group=address.resource_id,
        action="Release it.",
        risk="It never comes back: whoever has it written down, in DNS or an allow list, loses it.",
        evidence={
            "since": since.isoformat(),
            "since_is": "seen unassociated",
            "age_days": age_of(since, context.now).days,
            "public_ip": plain(str(address.spec.get("public_ip", ""))),
            "usd_per_hour": str(price.usd),
            **basis_of(price),
        },
    )


RULE = Rule(
    id=RULE_ID,
    kind=ADDRESS,
    title="Unassociated address",
    judge=judge,
    defaults={"min_age_days": 1},
)
