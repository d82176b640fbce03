"""How the things of an account are used: a scan's second stage, from CloudWatch into summaries."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields
from functools import partial
from itertools import islice

from django.conf import settings
from django.utils import timezone

from scans.aws.clients import AwsSession
from scans.aws.cloudwatch import (
    GET_METRIC_DATA,
    LIST_METRICS,
    SERIES_A_CALL,
    SERVICE,
    memory_dimensions,
    read_metrics,
)
from scans.aws.collectors.costs import bucket_monthly_usd
from scans.aws.collectors.rows import BUCKET, INSTANCE
from scans.aws.errors import AWS_ERRORS, Outcome, UnitOutcome, classify
from scans.aws.metrics import (
    KINDS_BY_PERIOD,
    Dimensions,
    Question,
    Reading,
    Window,
    batches,
    questions_of,
)
from scans.aws.pool import stream
from scans.aws.prices import BUILT_IN_BOOK, PriceBook
from scans.aws.progress import Progress
from scans.aws.rules.finding import Figures
from scans.aws.store import BATCH, inventory
from scans.aws.throttle import tallied
from scans.aws.units import UnitReport, merged, save_units
from scans.aws.upsert import Upsert
from scans.models import Account, MetricSummary, ScanJob

IAM_ACTIONS = ("cloudwatch:GetMetricData", "cloudwatch:ListMetrics")
# Each thread holds one answer of 100,800 values, 15 MB: few threads, memory stays flat.
METRIC_THREADS = 4
# Batches in hand: enough to keep the threads busy, none of them a whole account.
WAVE = 4 * METRIC_THREADS
HOPELESS = frozenset({Outcome.DENIED, Outcome.NOT_ENABLED})

_KEY = ("account_id", "region", "resource_id", "metric")
_UPDATED = ("kind", *(field.name for field in fields(Figures) if field.name not in _KEY))
_OF_SUMMARIES = Upsert(MetricSummary, _KEY, _UPDATED)


@dataclass(frozen=True)
class Batch:
    """What one call asks in one region."""

    region: str
    questions: Sequence[Question]


@dataclass(frozen=True)
class Answer:
    """How one call of CloudWatch ended, and what it told."""

    report: UnitReport
    readings: Sequence[Reading] = ()
    memory: dict[str, Dimensions] = field(default_factory=dict)


@dataclass
class UsageStage:
    """Reads and stores the metrics of everything in `known`, the (kind, region) pairs that this
    scan has seen, written down from the caller's thread alone."""

    job: ScanJob
    account: Account
    session: AwsSession
    known: Collection[tuple[str, str]]
    progress: Progress
    prices: PriceBook = BUILT_IN_BOOK
    reports: dict[tuple[str, str, str], UnitReport] = field(default_factory=dict)
    stored: int = 0

    def run(self, regions: Sequence[str]) -> None:
        """One step of progress a region."""
        self._window = Window.before(timezone.now(), settings.AWS_METRICS_DAYS)
        memory = self._memory_dimensions()
        waiting = self._batches(regions, memory)
        while wave := list(islice(waiting, WAVE)):
            for answer in self._answers(
                [partial(_read, self.session, b, self._window) for b in wave]
            ):
                self._store(answer)
        save_units(self.job, list(self.reports.values()))

    def _memory_dimensions(self) -> dict[str, dict[str, Dimensions]]:
        """By region, of those with a running instance."""
        running = inventory(self.account, INSTANCE).present().filter(state="running")
        places = set(running.order_by().values_list("region", flat=True).distinct())
        asked = sorted(region for region in places if (INSTANCE, region) in self.known)
        found: dict[str, dict[str, Dimensions]] = {}
        for answer in self._answers([partial(_list_memory, self.session, r) for r in asked]):
            self._note(answer.report)
            found[answer.report.region] = answer.memory
        return found

    def _answers(self, producers: Sequence[partial[Iterator[Answer]]]) -> Iterator[Answer]:
        if not producers:
            return
        threads = min(METRIC_THREADS, len(producers))
        with closing(stream(producers, threads=threads, buffer=METRIC_THREADS)) as answers:
            for answer in answers:
                self.job.ensure_claimed()
                yield answer

    def _batches(
        self, regions: Sequence[str], memory: dict[str, dict[str, Dimensions]]
    ) -> Iterator[Batch]:
        for region in regions:
            for kinds in KINDS_BY_PERIOD.values():
                asked = self._questions(region, kinds, memory.get(region, {}))
                for questions in batches(asked, SERIES_A_CALL):
                    if not self._is_hopeless(region):
                        yield Batch(region, questions)
            self.progress.advance()

    def _questions(
        self, region: str, kinds: Sequence[str], memory: Mapping[str, Dimensions]
    ) -> Iterator[Question]:
        for kind in kinds:
            if (kind, region) not in self.known:
                continue
            things = inventory(self.account, kind).present().filter(region=region)
            last = 0
            # By primary key instead of one long cursor, which our own writes would pass through.
            while page := list(
                things.filter(pk__gt=last)
                .order_by("pk")
                .values_list("pk", "resource_id", "state", "spec")[:BATCH]
            ):
                for _, resource_id, state, spec in page:
                    yield from questions_of(
                        kind, resource_id, state, spec, memory.get(resource_id, ())
                    )
                last = page[-1][0]

    def _is_hopeless(self, region: str) -> bool:
        report = self.reports.get((SERVICE, GET_METRIC_DATA, region))
        return report is not None and report.outcome.outcome in HOPELESS

    def _note(self, report: UnitReport) -> None:
        known = self.reports.get(report.name)
        self.reports[report.name] = merged(known, report) if known else report

    def _store(self, answer: Answer) -> None:
        self._note(answer.report)
        # In the order of their ids: two writers of an account never wait for each other's rows.
        readings = sorted(answer.readings, key=lambda r: (r.resource_id, r.metric))
        _OF_SUMMARIES.write(
            [vars(reading) for reading in readings],
            tenant_id=self.account.tenant_id,
            account_id=self.account.pk,
            region=answer.report.region,
            computed_at=timezone.now(),
        )
        self._price_buckets(answer)
        self.stored += len(readings)

    def _price_buckets(self, answer: Answer) -> None:
        """What a bucket costs follows from its size, which S3 itself does not tell."""
        for reading in answer.readings:
            sizes = [size for size in reading.daily or () if size is not None]
            if reading.kind != BUCKET or not sizes:
                continue
            inventory(self.account, BUCKET).filter(
                region=answer.report.region, resource_id=reading.resource_id
            ).update(
                monthly_cost_usd=bucket_monthly_usd(sizes[-1], answer.report.region, self.prices)
            )


def _read(session: AwsSession, batch: Batch, window: Window) -> Iterator[Answer]:
    """One batch, as a producer of the pool."""
    started = time.monotonic()
    outcome, readings = UnitOutcome(Outcome.OK), list[Reading]()
    with tallied() as tally:
        try:
            client = session.client(SERVICE, batch.region)
            readings, failed = read_metrics(client, batch.questions, window)
            if failed:
                message = f"CloudWatch did not read {failed} of the series it was asked for."
                outcome = UnitOutcome(Outcome.ERROR, "PartialAnswer", message)
        except AWS_ERRORS as error:
            outcome = classify(error, region=batch.region, iam_action=IAM_ACTIONS[0])
    report = UnitReport(
        SERVICE,
        GET_METRIC_DATA,
        batch.region,
        outcome,
        rows=len(readings),
        duration_ms=int((time.monotonic() - started) * 1000),
        answers=tally.outcomes,
    )
    yield Answer(report, readings)


def _list_memory(session: AwsSession, region: str) -> Iterator[Answer]:
    """What the agents of one region call their series, as a producer of the pool."""
    started = time.monotonic()
    outcome, found = UnitOutcome(Outcome.OK), dict[str, Dimensions]()
    with tallied() as tally:
        try:
            found = memory_dimensions(session.client(SERVICE, region))
        except AWS_ERRORS as error:
            outcome = classify(error, region=region, iam_action=IAM_ACTIONS[1])
    report = UnitReport(
        SERVICE,
        LIST_METRICS,
        region,
        outcome,
        rows=len(found),
        duration_ms=int((time.monotonic() - started) * 1000),
        answers=tally.outcomes,
    )
    yield Answer(report, memory=found)
