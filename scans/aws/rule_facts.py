"""Reads what rules may know, in pages: a few queries for hundreds of items."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
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
from scans.aws.things import Place, Thing, read_things
from scans.models import (
    Account,
    Commitment,
    MetricSummary,
    ScanJob,
    ScanUnit,
    UnitOutcome,
)

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
_FIGURES = [field.name for field in fields(Figures)]


@dataclass(frozen=True)
class Facts:
    """What holds for all of one scan."""

    account: Account
    known: frozenset[tuple[str, str]]  # (kind, region) of all that this scan saw
    units: Sequence[ScanUnit]
    prices: PriceBook
    now: datetime
    coverage: Decimal | None
    _imaged: dict[str, frozenset[str]] = field(default_factory=dict, repr=False)

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

    def contexts(self, kind: str, page: Sequence[Thing]) -> Iterator[Context]:
        """One for each thing of the page, in its order."""
        return PageFacts(self, kind, page).contexts()

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

    def imaged(self, regions: Sequence[str]) -> Mapping[str, frozenset[str]]:
        """By region, the snapshots that its images use. Their ids alone are kept, for as long as
        pages are of the region, and no image."""
        kept = {r: self._imaged.get(r) or self._imaged_in(r) for r in regions}
        self._imaged.clear()
        self._imaged.update(kept)
        return kept

    def _imaged_in(self, region: str) -> frozenset[str]:
        images = inventory(self.account, IMAGE).present().filter(region=region)
        specs = images.values_list("spec", flat=True).iterator(chunk_size=500)
        return frozenset(str(i) for spec in specs for i in spec.get("snapshot_ids") or ())

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
class PageFacts:
    """What holds for the things of one page, of one kind and some regions."""

    facts: Facts
    kind: str
    page: Sequence[Thing]

    def contexts(self) -> Iterator[Context]:
        metrics = self._metrics()
        unseen = {region: self._unseen(region) for region in self._regions}
        for thing in self.page:
            yield self.facts.context(
                metrics=metrics.get(thing.place, {}),
                related=Related(self, thing.place),
                unseen=unseen[thing.region],
            )

    def is_known(self, name: str, region: str) -> bool:
        """Whether this scan has seen the related things of that name."""
        names = _RELATIONS.get(self.kind, ())
        return name in names and (_RELATED_KINDS[name], region) in self.facts.known

    def related(self, name: str) -> Mapping[Place, Sequence[Any]]:
        """Related things by the place of the page's thing, read when the first rule asks: most
        pages have nothing that any rule would look at them for."""
        if name not in self._read:
            self._read[name] = self._related(name)
        return self._read[name]

    @cached_property
    def _read(self) -> dict[str, Mapping[Place, Sequence[Any]]]:
        return {}

    @cached_property
    def _regions(self) -> list[str]:
        return sorted({thing.region for thing in self.page})

    def _unseen(self, region: str) -> dict[str, str]:
        reasons = {}
        for name in _RELATIONS.get(self.kind, ()):
            if not self.is_known(name, region):
                why = self.facts.why_unseen(_RELATED_KINDS[name], region)
                reasons[name] = f"The region's {name} could not be seen: {why}"
        if why := self.facts.why_no_metrics(region):
            reasons[METRICS] = f"Its usage could not be read: {why}"
        return reasons

    def _metrics(self) -> Mapping[Place, Mapping[str, Figures]]:
        rows = MetricSummary.objects.recent(self.facts.now).filter(
            account=self.facts.account,
            region__in=self._regions,
            kind=self.kind,
            resource_id__in=[thing.resource_id for thing in self.page],
        )
        found: dict[Place, dict[str, Figures]] = defaultdict(dict)
        for region, resource_id, *values in rows.values_list("region", "resource_id", *_FIGURES):
            figures = Figures(*values)
            found[region, resource_id][figures.metric] = figures
        return found

    def _related(self, name: str) -> Mapping[Place, Sequence[Any]]:
        if name == IMAGES:
            imaged = self.facts.imaged(self._regions)
            return {
                thing.place: [thing]
                for thing in self.page
                if thing.resource_id in imaged[thing.region]
            }
        if name == ADDRESSES:
            return self._addresses([i.resource_id for i in self.page if i.state == STOPPED])
        wanted = {thing.place: _ids_named(thing, name) for thing in self.page}
        ids = {resource_id for ids in wanted.values() for resource_id in ids}
        things = self._present(_RELATED_KINDS[name], ids)
        return {
            (region, resource_id): [things[region, i] for i in ids if (region, i) in things]
            for (region, resource_id), ids in wanted.items()
        }

    def _present(self, kind: str, ids: Iterable[str]) -> dict[Place, Thing]:
        rows = inventory(self.facts.account, kind).present()
        rows = rows.filter(region__in=self._regions, resource_id__in=sorted(ids))
        return {thing.place: thing for thing in read_things(rows, kind)} if ids else {}

    def _addresses(self, instance_ids: Sequence[str]) -> Mapping[Place, list[Thing]]:
        found: dict[Place, list[Thing]] = defaultdict(list)
        if instance_ids:
            rows = inventory(self.facts.account, ADDRESS).present()
            rows = rows.filter(region__in=self._regions, spec__associated_with__in=instance_ids)
            for thing in read_things(rows, ADDRESS):
                found[thing.region, thing.spec["associated_with"]].append(thing)
        return found


class Related(Mapping[str, Sequence[Any]]):
    """What belongs to one thing, by the names of `Context.related`."""

    def __init__(self, page: PageFacts, place: Place) -> None:
        self._page = page
        self._place = place

    def __getitem__(self, name: str) -> Sequence[Any]:
        if name not in self:
            raise KeyError(name)
        return self._page.related(name).get(self._place, ())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._page.is_known(name, self._place[0])

    def __iter__(self) -> Iterator[str]:
        return (name for name in _RELATIONS.get(self._page.kind, ()) if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _ids_named(item: Thing, name: str) -> list[str]:
    """Ids of related things in the item's own description."""
    spec = item.spec
    if name == VOLUMES and "volume_id" in spec:
        return [str(spec["volume_id"])]
    if name == VOLUMES:
        return [str(i) for i in spec.get("volume_ids") or ()]
    if name == INSTANCES:
        return [str(i) for i in spec.get("attached_to") or ()]
    return [str(spec.get("database_id") or "")]
