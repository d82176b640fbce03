"""What a rule reads and what it says. No rule asks the database or AWS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Protocol

from scans.models import Confidence

CENT = Decimal("0.01")

Params = Mapping[str, Any]


class Item(Protocol):
    """One thing of the inventory, as far as rules look at it. `Resource` rows are such items."""

    region: str
    resource_id: str
    name: str
    state: str
    state_since: datetime  # when a scan first saw it in this state
    first_seen_at: datetime
    spec: Any  # JSON; which keys, the collector of its kind decides


@dataclass(frozen=True)
class Finding:
    """Money that could be saved each month, and why we think so.

    Of one `exclusive_group` only one saving counts: a resource can be improved only once.
    """

    rule: str
    region: str
    resource_id: str
    title: str
    saving_low_usd: Decimal
    saving_high_usd: Decimal
    confidence: Confidence
    exclusive_group: str
    evidence: dict[str, Any] = field(default_factory=dict)  # JSON


@dataclass(frozen=True)
class Rule:
    """A rule: `judge(item, now=…, params=…)` for each present item of `kind`.

    `defaults` names every parameter, each may be overridden in `settings.RULES[rule.id]`.
    """

    id: str  # "ebs.unattached", stored and never renamed
    kind: str
    title: str
    judge: Callable[..., Finding | None]
    defaults: Params = field(default_factory=dict)


def usd(amount: Decimal) -> Decimal:
    """To the cent."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)


def days(params: Params, name: str) -> timedelta:
    """A parameter in days, fractions allowed."""
    return timedelta(days=float(params[name]))


def was_never_otherwise(item: Item) -> bool:
    """No scan has seen the item in another state than now."""
    return item.state_since <= item.first_seen_at


def label(item: Item) -> str:
    """What a person calls it."""
    if item.name and item.name != item.resource_id:
        return f"{item.name} ({item.resource_id})"
    return item.resource_id
