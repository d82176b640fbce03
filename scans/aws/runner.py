"""One look at an account: what is there, how it is used, what it costs; stored as it comes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from django.utils import timezone

from scans.aws.clients import POOL_SIZE, AwsSession
from scans.aws.collectors.rows import Collector, Details, ResourceRow
from scans.aws.costs.calls import CallEnd
from scans.aws.costs.refresh import refresh_costs
from scans.aws.errors import AWS_ERRORS, Outcome, UnitOutcome, classify, raise_if_refused
from scans.aws.pool import stream
from scans.aws.prices import BUILT_IN_BOOK, PriceBook
from scans.aws.prices.store import price_ends, regions_in_use
from scans.aws.progress import Progress
from scans.aws.regions import DESCRIBE_REGIONS, RegionSelection, select_regions
from scans.aws.store import InventoryStore, is_gone
from scans.aws.throttle import tallied
from scans.aws.units import UnitReport, save_units
from scans.aws.usage import UsageStage
from scans.models import Account, ScanJob

# Found and not yet stored; each thread holds one more. Further ones make memory grow, not speed.
PAGES_WAITING = 1
COSTS_STEPS = 1
RULES_STEPS = 1


class NothingScannedError(Exception):
    """Not one call of this scan succeeded."""


@dataclass(frozen=True)
class Unit:
    """One collector in one region: it succeeds or fails on its own."""

    collector: Collector
    region: str


@dataclass(frozen=True)
class Page:
    """Some rows of a unit."""

    unit: Unit
    rows: Sequence[ResourceRow]


@dataclass(frozen=True)
class UnitEnd:
    """How a unit ended, and its details: units too, though no step of a scan."""

    unit: Unit
    report: UnitReport
    details: tuple[UnitReport, ...]
    began_at: datetime

    @property
    def is_ok(self) -> bool:
        return self.report.is_ok

    @property
    def outcome(self) -> UnitOutcome:
        return self.report.outcome


def look(session: AwsSession, unit: Unit) -> Iterator[Page | UnitEnd]:
    """All pages of a unit, then its end. Runs in a thread and touches no database."""
    collector, region = unit.collector, unit.region
    began_at, started = timezone.now(), time.monotonic()
    rows, outcome, details = 0, UnitOutcome(Outcome.OK), Details()
    with tallied() as tally:
        try:
            client = session.client(collector.service, region)
            for page in collector.collect(client, region):
                own = [row for row in page if _is_own(row, session)]
                if collector.enrich is not None:
                    own = list(collector.enrich(client, own, details))
                rows += sum(not is_gone(row) for row in own)
                yield Page(unit, own)
        except AWS_ERRORS as error:
            outcome = classify(error, region=region, iam_action=collector.iam_action)
    report = UnitReport(
        collector.service,
        collector.call,
        region,
        outcome,
        rows=rows,
        duration_ms=int((time.monotonic() - started) * 1000),
        answers=tally.outcomes,
    )
    yield UnitEnd(unit, report, tuple(_detail_reports(unit, details)), began_at)


def _is_own(row: ResourceRow, session: AwsSession) -> bool:
    """Some endpoints list what others made public although asked for one's own."""
    return not row.owner_id or not session.account_id or row.owner_id == session.account_id


def _detail_reports(unit: Unit, details: Details) -> Iterator[UnitReport]:
    """The unit's own report counts their requests."""
    for detail in unit.collector.details:
        answered, error = details.answered.get(detail, 0), details.missed.get(detail)
        if not answered and error is None:
            continue  # nothing was there to ask about
        outcome = UnitOutcome(Outcome.OK)
        if error is not None:
            outcome = classify(error, region=unit.region, iam_action=detail.iam_action)
        yield UnitReport(unit.collector.service, detail.call, unit.region, outcome, rows=answered)


@dataclass
class Scan:
    """A claimed job's look at its account, written down from the caller's thread alone.

    Stages: inventory, usage, costs; the rules, another's work, are the last step of `progress`.
    """

    job: ScanJob
    account: Account
    session: AwsSession
    collectors: Sequence[Collector]
    prices: PriceBook = BUILT_IN_BOOK
    ends: list[UnitEnd] = field(default_factory=list)
    cost_ends: list[CallEnd] = field(default_factory=list)
    gone: int = 0
    summaries: int = 0

    def __post_init__(self) -> None:
        self.progress = Progress(self.job)
        self._store = InventoryStore(self.account, self.job, self.prices)

    def run(self) -> None:
        """Store everything found and the coverage map.

        Raises `CredentialsRefusedError`, `NothingScannedError`, or `LeaseLostError` when the job
        was taken away meanwhile.
        """
        # Coverage is of the present attempt: an earlier one's units say nothing about it.
        self.job.units.all().delete()
        selection = select_regions(self.session, self.job.regions or self.account.regions)
        self._note_selection(selection)
        units = [Unit(c, region) for region in selection.enabled for c in self.collectors]
        self.progress.begin(len(units) + len(selection.enabled) + COSTS_STEPS + RULES_STEPS)
        self._read_inventory(units)
        self._judge()
        self._read_usage(selection.enabled)
        self._read_costs()

    @property
    def succeeded(self) -> set[tuple[str, str]]:
        """(kind, region) of all that is known now: each collector of the kind has succeeded."""
        missed = {(e.unit.collector.kind, e.unit.region) for e in self.ends if not e.is_ok}
        return {(e.unit.collector.kind, e.unit.region) for e in self.ends if e.is_ok} - missed

    def outcomes(self) -> dict[str, int]:
        """How many units ended how, regions that were not asked included."""
        return dict(Counter(self.job.units.values_list("outcome", flat=True)))

    def throttled(self) -> int:
        """How often AWS answered that it wants fewer calls."""
        return sum(self.job.units.values_list("throttled", flat=True))

    def rows_by_kind(self) -> dict[str, int]:
        counts = {collector.kind: 0 for collector in self.collectors}
        for end in self.ends:
            counts[end.unit.collector.kind] += end.report.rows
        return counts

    def _read_inventory(self, units: Sequence[Unit]) -> None:
        producers = [partial(look, self.session, unit) for unit in units]
        threads = min(POOL_SIZE, len(units))
        with closing(stream(producers, threads=threads, buffer=PAGES_WAITING)) as items:
            for item in items:
                self.job.ensure_claimed()
                if isinstance(item, Page):
                    self._store.write(item.unit.region, item.unit.collector.kind, item.rows)
                else:
                    self._end(item)

    def _end(self, end: UnitEnd) -> None:
        collector, region = end.unit.collector, end.unit.region
        if end.is_ok:
            self.gone += self._store.mark_gone(
                region, collector.kind, unseen_since=end.began_at, only=collector.only
            )
        self.ends.append(end)
        save_units(self.job, [end.report, *end.details])
        self.progress.advance()

    def _read_usage(self, regions: Sequence[str]) -> None:
        usage = UsageStage(
            self.job, self.account, self.session, self.succeeded, self.progress, self.prices
        )
        usage.run(regions)
        self.summaries = usage.stored

    def _read_costs(self) -> None:
        self.job.ensure_claimed()
        self.cost_ends = refresh_costs(self.account, self.session, self.job)
        self.cost_ends += price_ends(regions_in_use([self.account]))
        save_units(self.job, [end.as_report() for end in self.cost_ends])
        self.progress.advance(COSTS_STEPS)

    def _note_selection(self, selection: RegionSelection) -> None:
        noted = []
        if selection.problem is not None:
            where, call = self.session.region, DESCRIBE_REGIONS.partition(":")[2]
            noted.append(UnitReport("ec2", call, where, selection.problem))
        off = UnitOutcome(Outcome.NOT_ENABLED, message="This region is off in the account.")
        noted += [
            UnitReport(collector.service, collector.call, region, off)
            for region in selection.not_enabled
            for collector in self.collectors
        ]
        save_units(self.job, noted)

    def _judge(self) -> None:
        raise_if_refused(end.outcome for end in self.ends)
        if not any(end.is_ok for end in self.ends):
            raise NothingScannedError(_why_nothing(self.ends))


def _why_nothing(ends: Iterable[UnitEnd]) -> str:
    """The reasons, each once, with where it was first met."""
    reasons: dict[str, str] = {}
    for end in ends:
        what = f"{end.unit.collector.call} in {end.unit.region}"
        reasons.setdefault(end.outcome.code, f"{what}: {end.outcome.code} {end.outcome.message}")
    if not reasons:
        return "None of the chosen regions is enabled in the account."
    return " ".join([str(NothingScannedError.__doc__), *list(reasons.values())[:3]])
