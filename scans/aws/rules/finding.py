"""What a rule reads and what it says. No rule asks the database or AWS."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Protocol

from scans.aws.prices import PriceBook
from scans.models import Confidence, Effort

CENT = Decimal("0.01")

# Names of `Context.related`; of `Context.unseen` also `METRICS`.
INSTANCES = "instances"
VOLUMES = "volumes"
ADDRESSES = "addresses"
IMAGES = "images"
SNAPSHOTS = "snapshots"
DATABASES = "databases"
METRICS = "metrics"

Params = Mapping[str, Any]


class Item(Protocol):
    """One thing of the inventory, as far as rules look at it. `Resource` rows are such items."""

    region: str
    resource_id: str
    name: str
    state: str
    state_since: datetime | None  # when a scan first saw it in this state, after another one
    first_seen_at: datetime
    tags: Any  # JSON: text by text
    spec: Any  # JSON; which keys, the collector of its kind decides


class InstanceItem(Item, Protocol):
    """An EC2 instance. `Instance` rows are such items."""

    instance_type: str
    lifecycle: str
    platform: str
    launched_at: datetime | None


@dataclass(frozen=True)
class Figures:
    """What one metric of one resource said over a window, as `MetricSummary` keeps it.

    The percentiles are of the datapoints, one each `period_seconds`. Counted metrics (bytes,
    operations, requests) hold the count of their period; `total` is the whole window's.
    """

    metric: str
    window_days: int
    datapoints: int
    expected: int
    average: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    maximum: float | None = None
    total: float | None = None
    hour_of_week: Sequence[float | None] | None = (
        None  # by `MOST_WEEKS_PERCENT`; Monday 00 UTC first
    )
    daily: Sequence[float | None] | None = None  # newest last
    computed_at: datetime | None = None

    @property
    def coverage(self) -> float:
        """Datapoints seen of those expected in the window, 0 to 1."""
        return min(1.0, self.datapoints / self.expected) if self.expected > 0 else 0.0

    @property
    def days_seen(self) -> int:
        """Days from the first one with a value until now: a thing younger than the window is
        judged by its own days."""
        if not self.daily:
            return self.window_days if self.datapoints else 0
        first = next((at for at, value in enumerate(self.daily) if value is not None), None)
        return 0 if first is None else min(self.window_days, len(self.daily) - first)

    @property
    def expected_in_days_seen(self) -> int:
        return round(self.expected * self.days_seen / self.window_days) if self.window_days else 0

    @property
    def period_seconds(self) -> float:
        return self.window_days * 86_400 / self.expected if self.expected > 0 else 0.0

    @property
    def daily_total(self) -> float | None:
        """The mean of a counted metric in 24 hours that were seen."""
        if self.total is None or not self.coverage or not self.window_days:
            return None
        return self.total / (self.window_days * self.coverage)

    @property
    def busiest_day(self) -> float | None:
        """The highest value of a day; of a counted metric without days, the mean of them."""
        values = [value for value in self.daily or () if value is not None]
        return max(values) if values else self.daily_total


@dataclass(frozen=True)
class Context:
    """What a rule may know beside the item itself.

    `metrics`: by our names, such as `cpu_percent`. `related`: other things of the region that
    belong to the item, by the names above; a name that is missing could not be seen, and `unseen`
    says why. `coverage`: share of compute that Savings Plans and reservations cover, 0 to 1.
    """

    now: datetime
    params: Params
    prices: PriceBook
    metrics: Mapping[str, Figures] = field(default_factory=dict)
    related: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    coverage: Decimal = Decimal(0)
    is_coverage_known: bool = False
    unseen: Mapping[str, str] = field(default_factory=dict)

    def by(self, params: Params) -> Context:
        """The same for a rule with these parameters. `dataclasses.replace` takes four times as
        long, for each rule and thing."""
        other = object.__new__(Context)
        vars(other).update(vars(self), params=params)
        return other

    def days(self, name: str) -> timedelta:
        """A parameter in days, fractions allowed."""
        return timedelta(days=float(self.params[name]))

    def usd(self, name: str) -> Decimal:
        """A parameter in USD, or any other decimal number."""
        return Decimal(str(self.params[name]))


@dataclass(frozen=True)
class Finding:
    """Money that could be saved each month, and why we think so.

    Of one `exclusive_group` only one saving counts: a resource can be improved only once.
    `saving_high_usd` is at list price, `saving_low_usd` after what is already paid otherwise.
    `is_upper_bound`: nobody outside AWS can know more than "up to".
    """

    rule: str
    region: str
    resource_id: str
    title: str
    saving_low_usd: Decimal
    saving_high_usd: Decimal
    confidence: Confidence
    exclusive_group: str
    action: str = ""  # what to do, one sentence
    risk: str = ""  # what may go wrong, one sentence
    effort: Effort = Effort.LOW
    is_upper_bound: bool = False
    evidence: dict[str, Any] = field(default_factory=dict)  # JSON


@dataclass(frozen=True)
class Unknown:
    """The rule cannot tell: too little is known. Counted and shown, never taken for "fine".

    `reason` has no figures of the resource, so that equal reasons can be counted; `needs` says
    what would make it known.
    """

    rule: str
    region: str
    resource_id: str
    reason: str
    needs: str = ""


Verdict = Finding | Unknown | None  # None: looked at, and nothing to save by this rule
Judge = Callable[[Any, Context], Verdict]


@dataclass(frozen=True)
class Rule:
    """A rule: `judge(item, context)` for each present item of `kind`.

    `defaults` names every parameter; `RuleSetting` rows override them by account or tenant.
    `reads`: the names of `Context.related` the rule looks at, besides the metrics.
    """

    id: str  # "ebs.unattached", stored and never renamed
    kind: str
    title: str
    judge: Judge
    defaults: Params = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    is_on_by_default: bool = True


def usd(amount: Decimal) -> Decimal:
    """To the cent."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)


def plain(text: str, limit: int = 80) -> str:
    """A name as one short line: whoever may tag a resource writes what others read."""
    text = text[: 4 * limit]
    if not text.isprintable():  # spares most names a look at each letter
        text = "".join(c for c in text if not _breaks_a_line(c))
    shown = text.strip()
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def _breaks_a_line(character: str) -> bool:
    """Controls, invisible marks that turn text around, line and paragraph separators."""
    category = unicodedata.category(character)
    return category.startswith("C") or category in {"Zl", "Zp"}


def in_state_since(item: Item) -> datetime:
    """When a scan first saw the item in its present state."""
    return item.state_since or item.first_seen_at


def was_never_otherwise(item: Item) -> bool:
    """No scan has seen the item in another state than now."""
    return in_state_since(item) <= item.first_seen_at


def label(item: Item) -> str:
    """What a person calls it."""
    name, resource_id = plain(item.name), plain(short_id(item))
    return f"{name} ({resource_id})" if name and name != resource_id else resource_id


def short_id(item: Item) -> str:
    """The id without the first words of an ARN."""
    return item.resource_id.rpartition(":")[2] or item.resource_id
