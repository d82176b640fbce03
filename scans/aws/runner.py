"""One look at an account: each collector in each region, in threads; stored as it comes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from django.utils import timezone

from hostmaster.core import logs
from hostmaster.core.jobs.models import LeaseLostError
from scans.aws.clients import POOL_SIZE, AwsSession
from scans.aws.collectors.rows import Collector, ResourceRow
from scans.aws.errors import AWS_ERRORS, Outcome, UnitOutcome, classify, raise_if_refused
from scans.aws.pool import stream
from scans.aws.regions import RegionSelection, select_regions
from scans.aws.store import InventoryStore, is_gone
from scans.models import Account, ScanJob, ScanUnit

PROGRESS_SECONDS = 1.0


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
    """How a unit ended."""

    unit: Unit
    outcome: UnitOutcome
    began_at: datetime
    rows: int = 0
    pages: int = 0
    duration_ms: int = 0

    @property
    def is_ok(self) -> bool:
        return self.outcome.outcome == Outcome.OK


def look(session: AwsSession, unit: Unit) -> Iterator[Page | UnitEnd]:
    """All pages of a unit, then its end. Runs in a thread and touches no database."""
    collector, region = unit.collector, unit.region
    began_at, started = timezone.now(), time.monotonic()
    rows = pages = 0
    outcome = UnitOutcome(Outcome.OK)
    try:
        client = session.client(collector.service, region)
        for page in collector.collect(client, region):
            rows, pages = rows + sum(not is_gone(row) for row in page), pages + 1
            yield Page(unit, page)
    except AWS_ERRORS as error:
        outcome = classify(error, region=region, iam_action=collector.iam_action)
    milliseconds = int((time.monotonic() - started) * 1000)
    yield UnitEnd(unit, outcome, began_at, rows, pages, milliseconds)


@dataclass
class Scan:
    """A claimed job's look at its account, written down from the caller's thread alone."""

    job: ScanJob
    account: Account
    session: AwsSession
    collectors: Sequence[Collector]
    ends: list[UnitEnd] = field(default_factory=list)
    gone: int = 0
    _told_at: float = 0.0

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
        self._tell_progress(total=len(units))
        producers = [partial(look, self.session, unit) for unit in units]
        with closing(stream(producers, threads=min(POOL_SIZE, len(units)))) as items:
            for item in items:
                self.job.ensure_claimed()
                self._store(item)
        self._judge()

    @property
    def succeeded(self) -> set[tuple[str, str]]:
        """(kind, region) of all that is known now."""
        return {(e.unit.collector.kind, e.unit.region) for e in self.ends if e.is_ok}

    def outcomes(self) -> dict[str, int]:
        """How many units ended how, regions that were not asked included."""
        counts: dict[str, int] = {}
        for outcome in self.job.units.values_list("outcome", flat=True):
            counts[outcome] = counts.get(outcome, 0) + 1
        return counts

    def rows_by_kind(self) -> dict[str, int]:
        counts = {collector.kind: 0 for collector in self.collectors}
        for end in self.ends:
            counts[end.unit.collector.kind] += end.rows
        return counts

    def _store(self, item: Page | UnitEnd) -> None:
        store = InventoryStore(self.account, self.job)
        kind, region = item.unit.collector.kind, item.unit.region
        if isinstance(item, Page):
            store.write(region, kind, item.rows)
            return
        if item.is_ok:
            self.gone += store.mark_gone(region, kind, unseen_since=item.began_at)
        self.ends.append(item)
        _save_units([_unit_of(self.job, item)])
        self._tell_progress()

    def _note_selection(self, selection: RegionSelection) -> None:
        if selection.problem is not None:
            where = self.session.region
            _save_units([_unit(self.job, "ec2", "DescribeRegions", where, selection.problem)])
        off = UnitOutcome(Outcome.NOT_ENABLED, message="This region is off in the account.")
        _save_units(
            [
                _unit(self.job, collector.service, collector.call, region, off)
                for region in selection.not_enabled
                for collector in self.collectors
            ]
        )

    def _tell_progress(self, total: int | None = None) -> None:
        """At most once a second, but always the beginning and the end."""
        now = time.monotonic()
        is_last = len(self.ends) == self.job.progress_total
        if total is None and not is_last and now - self._told_at < PROGRESS_SECONDS:
            return
        self._told_at = now
        total = self.job.progress_total if total is None else total
        if not self.job.update_guarded(progress_done=len(self.ends), progress_total=total):
            raise LeaseLostError(str(LeaseLostError.__doc__))

    def _judge(self) -> None:
        raise_if_refused(end.outcome for end in self.ends)
        if not any(end.is_ok for end in self.ends):
            raise NothingScannedError(_why_nothing(self.ends))


def _save_units(units: Sequence[ScanUnit]) -> None:
    """An upsert: a worker that lost this job may still be writing its own."""
    ScanUnit.objects.bulk_create(
        units,
        update_conflicts=True,
        unique_fields=["job", "service", "region", "call"],
        update_fields=[
            "outcome",
            "error_code",
            "message",
            "missing_action",
            "rows",
            "calls",
            "duration_ms",
        ],
    )


def _unit_of(job: ScanJob, end: UnitEnd) -> ScanUnit:
    collector = end.unit.collector
    row = _unit(job, collector.service, collector.call, end.unit.region, end.outcome)
    row.rows, row.calls, row.duration_ms = end.rows, end.pages, end.duration_ms
    return row


def _unit(job: ScanJob, service: str, call: str, region: str, outcome: UnitOutcome) -> ScanUnit:
    return ScanUnit(
        job=job,
        service=service,
        call=call,
        region=region,
        outcome=outcome.outcome.value,
        error_code=outcome.code,
        message=logs.mask(outcome.message),
        missing_action=outcome.missing_action,
    )


def _why_nothing(ends: Iterable[UnitEnd]) -> str:
    """The reasons, each once, with where it was first met."""
    reasons: dict[str, str] = {}
    for end in ends:
        what = f"{end.unit.collector.call} in {end.unit.region}"
        reasons.setdefault(end.outcome.code, f"{what}: {end.outcome.code} {end.outcome.message}")
    if not reasons:
        return "None of the chosen regions is enabled in the account."
    return " ".join([str(NothingScannedError.__doc__), *list(reasons.values())[:3]])
