"""Things for rules to judge, as the inventory would describe them, without a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from scans.aws.prices import BUILT_IN_BOOK, PriceBook
from scans.aws.rules.all import RULES_BY_ID, by_default, judge_item
from scans.aws.rules.finding import Context, Figures, Finding, Unknown, Verdict

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=400)
HOURS_A_DAY = 24


@dataclass
class FakeItem:
    """What a row of the inventory offers to a rule."""

    region: str = "us-east-1"
    resource_id: str = "vol-1"
    name: str = ""
    state: str = "available"
    state_since: datetime | None = LONG_AGO
    first_seen_at: datetime = LONG_AGO
    tags: Any = field(default_factory=dict)
    spec: Any = field(default_factory=dict)


@dataclass
class FakeInstance(FakeItem):
    resource_id: str = "i-1"
    state: str = "running"
    instance_type: str = "m5.large"
    lifecycle: str = "on-demand"
    platform: str = "Linux/UNIX"
    launched_at: datetime | None = LONG_AGO


def ago(**time: float) -> datetime:
    return NOW - timedelta(**time)


def make_volume(
    *,
    volume_type: str = "gp3",
    size_gb: int = 100,
    created_at: datetime | None = LONG_AGO,
    iops: int | None = None,
    throughput_mbps: int | None = None,
    **overrides: Any,
) -> FakeItem:
    spec = {
        "volume_type": volume_type,
        "size_gb": size_gb,
        "iops": iops,
        "throughput_mbps": throughput_mbps,
        "created_at": created_at.isoformat() if created_at else None,
    }
    return FakeItem(spec=spec, **overrides)


def make_figures(metric: str, **overrides: Any) -> Figures:
    """Of `days` days (14) in hours, all seen unless `datapoints` says otherwise."""
    days = overrides.pop("days", 14)
    expected = overrides.pop("expected", days * HOURS_A_DAY)
    fields = {
        "window_days": days,
        "datapoints": expected,
        "expected": expected,
        "computed_at": NOW,
        **overrides,
    }
    return Figures(metric=metric, **fields)


def level(metric: str, value: float, **overrides: Any) -> Figures:
    """A metric that never moved."""
    days = overrides.get("days", 14)
    fields: dict[str, Any] = dict.fromkeys(("average", "p50", "p95", "p99", "maximum"), value)
    return make_figures(metric, **{**fields, "daily": [value] * days, **overrides})


def amount(metric: str, per_day: float, **overrides: Any) -> Figures:
    """A counted metric with the same amount each hour."""
    days = overrides.get("days", 14)
    hourly = level(metric, per_day / HOURS_A_DAY)
    fields = {name: getattr(hourly, name) for name in ("average", "p50", "p95", "p99", "maximum")}
    given = {**fields, "total": per_day * days, "daily": [per_day] * days, **overrides}
    return make_figures(metric, **given)


def judge(
    rule_id: str,
    item: Any,
    *figures: Figures,
    params: dict[str, Any] | None = None,
    related: Mapping[str, Sequence[Any]] | None = None,
    coverage: str | None = None,
    unseen: dict[str, str] | None = None,
    prices: PriceBook = BUILT_IN_BOOK,
) -> Verdict:
    """What one rule alone says."""
    rule = RULES_BY_ID[rule_id]
    context = Context(
        now=NOW,
        params={**rule.defaults, **(params or {})},
        prices=prices,
        metrics={each.metric: each for each in figures},
        related=related or {},
        coverage=Decimal(coverage or 0),
        is_coverage_known=coverage is not None,
        unseen=unseen or {},
    )
    return rule.judge(item, context)


def found(verdict: Verdict) -> Finding:
    assert isinstance(verdict, Finding), verdict
    return verdict


def unknown(verdict: Verdict) -> Unknown:
    assert isinstance(verdict, Unknown), verdict
    return verdict


def usd_of(verdict: Verdict) -> tuple[str, str]:
    """(low, high) of a finding."""
    finding = found(verdict)
    return f"{finding.saving_low_usd:.2f}", f"{finding.saving_high_usd:.2f}"


def judge_all(
    item: Any, *figures: Figures, kind: str, dismissed: Sequence[str] = (), **context: Any
) -> list[str]:
    """Ids of the rules whose finding on the item counts."""
    choices = [c for c in by_default() if c.rule.kind == kind and c.is_on]
    return [
        said.rule.id
        for said in judge_item(item, choices, _context(figures, **context), dismissed)
        if isinstance(said.verdict, Finding) and not said.is_superseded
    ]


def _context(figures: Sequence[Figures], **more: Any) -> Context:
    metrics = {each.metric: each for each in figures}
    return Context(now=NOW, params={}, prices=BUILT_IN_BOOK, metrics=metrics, **more)
