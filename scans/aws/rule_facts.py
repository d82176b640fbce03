"""Reads what rules may know, in pages: a few queries for hundreds of items."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from scans.aws.collectors.all import COLLECTORS
from scans.aws.collectors.rows import (
    ADDRESS,
    DATABASE,
    DATABASE_SNAPSHOT,
    IMAGE,
    INSTANCE,
    SNAPSHOT,
    VOLUME,
)
from scans.aws.commitments import commitment_facts
from scans.aws.prices import PriceBook
from scans.aws.prices.store import load_book
from scans.aws.rules.commitments import COMMITMENT_KIND, COVERAGE_KIND, CommitmentItem
from scans.aws.rules.finding import (
    ADDRESSES,
    DATABASES,
    IMAGES,
    INSTANCES,
    METRICS,
    VOLUMES,
    Context,
    Figures,
)
from scans.aws.rules.stopped_instance import STOPPED
from scans.aws.store import inventory
from scans.models import (
    Account,
    Commitment,
    InventoryItem,
    MetricSummary,
    ScanJob,
    ScanUnit,
    UnitOutcome,
)

# A scan that got no figures may use those of the last days, but not for ever.
FIGURES_LAST = timedelta(days=3)
CLOUDWATCH = "cloudwatch"
COST_EXPLORER = "ce"
NOT_ASKED = "It was not looked at in this scan."
_RELATED_KINDS = {
    INSTANCES: INSTANCE,
    VOLUMES: VOLUME,
    ADDRESSES: ADDRESS,
    IMAGES: IMAGE,
    DATABASES: DATABASE,
}
# What the items of a kind are related to.
_RELATIONS = {
    INSTANCE: (VOLUMES, ADDRESSES),
    VOLUME: (INSTANCES,),
    SNAPSHOT: (IMAGES, VOLUMES),
    DATABASE_SNAPSHOT: (DATABASES,),
}
_FIGURES = [
    "metric",
    "window_days",
    "datapoints",
    "expected",
    "average",
    "p50",
    "p95",
    "p99",
    "maximum",
    "total",
    "hour_of_week",
    "daily",
    "computed_at",
]


@dataclass(frozen=True)
class Facts:
    """What holds for all of one scan."""

    account: Account
    known: frozenset[tuple[str, str]]  # (kind, region) of all that this scan saw
    units: Sequence[ScanUnit]
    prices: PriceBook
    now: datetime
    coverage: Decimal | None

    @classmethod
    def of(
        cls, account: Account, job: ScanJob, known: Iterable[tuple[str, str]], now: datetime
    ) -> Facts:
        return cls(
            account=account,
            known=frozenset(known),
            units=list(job.units.all()),
            prices=load_book(account),
            now=now,
            coverage=commitment_facts(account, now).coverage,
        )

    def of_region(self, region: str) -> RegionFacts:
        return RegionFacts(self, region)

    def regions(self) -> list[str]:
        """Where this scan looked, or wanted to."""
        asked = {unit.region for unit in self.units if unit.outcome != UnitOutcome.NOT_ENABLED}
        return sorted(asked | {region for _, region in self.known})

    def why_unseen(self, kind: str, region: str) -> str:
        """Why nothing of this kind is known there."""
        calls = {(c.service, c.call) for c in COLLECTORS if c.kind == kind}
        return self._why(
            unit
            for unit in self.units
            if unit.region == region and (unit.service, unit.call) in calls
        )

    def why_no_metrics(self, region: str) -> str:
        """Empty when CloudWatch answered."""
        units = [u for u in self.units if u.region == region and u.service == CLOUDWATCH]
        return self._why(units) if any(u.outcome != UnitOutcome.OK for u in units) else ""

    def why_no_costs(self) -> str:
        return self._why(u for u in self.units if u.service == COST_EXPLORER)

    @staticmethod
    def _why(units: Iterable[ScanUnit]) -> str:
        failed = next((unit for unit in units if unit.outcome != UnitOutcome.OK), None)
        if failed is None:
            return NOT_ASKED
        remedy = f", allow {failed.missing_action}" if failed.missing_action else ""
        return f"{failed.service} {failed.call}: {failed.get_outcome_display().lower()}{remedy}."

    def items_of_commitments(self) -> dict[str, list[CommitmentItem]]:
        """By kind: the coverage, once it is known, and each commitment."""
        facts = commitment_facts(self.account, self.now)
        items: dict[str, list[CommitmentItem]] = {COVERAGE_KIND: [], COMMITMENT_KIND: []}
        if facts.savings_plans_coverage is not None or facts.uncovered_monthly_usd is not None:
            spec = {
                "coverage": facts.savings_plans_coverage,
                "uncovered_monthly_usd": facts.uncovered_monthly_usd,
                "steady_hourly_usd": facts.steady_uncovered_hourly_usd,
            }
            items[COVERAGE_KIND].append(self._item("savings_plans", "Savings Plans", spec))
        for row in Commitment.objects.filter(account=self.account).order_by("pk"):
            ends_at = row.ends_at.isoformat() if row.ends_at else None
            spec = {
                "ends_at": ends_at,
                "monthly_usd": row.monthly_usd,
                "utilization": row.utilization,
            }
            items[COMMITMENT_KIND].append(self._item(row.commitment_id, str(row), spec))
        return items

    def _item(self, resource_id: str, name: str, spec: dict[str, Any]) -> CommitmentItem:
        return CommitmentItem(resource_id, name, spec, self.now)

    def context(self, **of_item: Any) -> Context:
        """Without parameters: each rule gets its own."""
        return Context(
            now=self.now,
            params={},
            prices=self.prices,
            coverage=self.coverage or Decimal(0),
            is_coverage_known=self.coverage is not None,
            **of_item,
        )


@dataclass(frozen=True)
class RegionFacts:
    """What holds for all items of one region."""

    facts: Facts
    region: str
    _unseen: dict[str, str] = field(default_factory=dict)

    def contexts(self, kind: str, page: Sequence[InventoryItem]) -> Iterator[Context]:
        """One for each item of the page, in its order."""
        metrics = self._metrics(kind, [item.resource_id for item in page])
        related = {
            name: self._related(name, page)
            for name in _RELATIONS.get(kind, ())
            if self._is_known(_RELATED_KINDS[name])
        }
        unseen = self.unseen(kind)
        for item in page:
            yield self.facts.context(
                metrics=metrics.get(item.resource_id, {}),
                related={name: by_id.get(item.resource_id, ()) for name, by_id in related.items()},
                unseen=unseen,
            )

    def unseen(self, kind: str) -> dict[str, str]:
        reasons = {}
        for name in _RELATIONS.get(kind, ()):
            if not self._is_known(_RELATED_KINDS[name]):
                why = self.facts.why_unseen(_RELATED_KINDS[name], self.region)
                reasons[name] = f"The region's {name} could not be seen: {why}"
        if why := self.facts.why_no_metrics(self.region):
            reasons[METRICS] = f"Its usage could not be read: {why}"
        return reasons

    def _is_known(self, kind: str) -> bool:
        return (kind, self.region) in self.facts.known

    def _metrics(self, kind: str, ids: Sequence[str]) -> Mapping[str, Mapping[str, Figures]]:
        rows = MetricSummary.objects.filter(
            account=self.facts.account,
            region=self.region,
            kind=kind,
            resource_id__in=ids,
            computed_at__gt=self.facts.now - FIGURES_LAST,
        )
        found: dict[str, dict[str, Figures]] = defaultdict(dict)
        for resource_id, *values in rows.values_list("resource_id", *_FIGURES):
            figures = Figures(*values)
            found[resource_id][figures.metric] = figures
        return found

    def _related(
        self, name: str, page: Sequence[InventoryItem]
    ) -> Mapping[str, Sequence[InventoryItem]]:
        """Related items by the id of the page's item."""
        if name == IMAGES:
            return {item.resource_id: [item] for item in page if item.resource_id in self._imaged}
        if name == ADDRESSES:
            return self._addresses([i.resource_id for i in page if i.state == STOPPED])
        wanted = {item.resource_id: _ids_named(item, name) for item in page}
        ids = {resource_id for ids in wanted.values() for resource_id in ids}
        rows = self._present(_RELATED_KINDS[name], ids)
        return {
            resource_id: [rows[other] for other in ids if other in rows]
            for resource_id, ids in wanted.items()
        }

    def _present(self, kind: str, ids: Iterable[str]) -> dict[str, InventoryItem]:
        rows = inventory(self.facts.account, kind).present()
        rows = rows.filter(region=self.region, resource_id__in=sorted(ids))
        return {row.resource_id: row for row in rows} if ids else {}

    def _addresses(self, instance_ids: Sequence[str]) -> Mapping[str, list[InventoryItem]]:
        found: dict[str, list[InventoryItem]] = defaultdict(list)
        if instance_ids:
            rows = inventory(self.facts.account, ADDRESS).present().filter(region=self.region)
            for row in rows.filter(spec__associated_with__in=list(instance_ids)):
                found[row.spec["associated_with"]].append(row)
        return found

    @cached_property
    def _imaged(self) -> frozenset[str]:
        """Snapshots that images of the region use. Their ids alone are kept, and no image."""
        images = inventory(self.facts.account, IMAGE).present().filter(region=self.region)
        specs = images.values_list("spec", flat=True).iterator(chunk_size=500)
        return frozenset(str(i) for spec in specs for i in spec.get("snapshot_ids") or ())


def _ids_named(item: InventoryItem, name: str) -> list[str]:
    """Ids of related things in the item's own description."""
    spec = item.spec
    if name == VOLUMES and "volume_id" in spec:
        return [str(spec["volume_id"])]
    if name == VOLUMES:
        return [str(i) for i in spec.get("volume_ids") or ()]
    if name == INSTANCES:
        return [str(i) for i in spec.get("attached_to") or ()]
    return [str(spec.get("database_id") or "")]
