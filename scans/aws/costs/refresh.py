"""Asks Cost Explorer about one account, at most every six hours, and reads on from there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import TypeAlias

from django.utils import timezone

from scans.aws import budgets, commitments
from scans.aws.anomalies import TheirAnomaly
from scans.aws.clients import AwsSession
from scans.aws.commitments import Covered, Used
from scans.aws.costs import detection
from scans.aws.costs.calls import CE_REGION, CallEnd
from scans.aws.costs.explorer import (
    COMMITMENT_DAYS,
    OTHERS,
    QUESTIONS,
    USAGE,
    Answer,
    DayCosts,
    Question,
    Remainder,
    Requests,
    Subject,
    TheirAnomalies,
    midnight,
)
from scans.aws.costs.forecasts import keep_forecast
from scans.aws.costs.records import DayKeeper
from scans.aws.errors import AWS_ERRORS, Outcome, UnitOutcome, classify, error_code
from scans.aws.pool import stream
from scans.models import Account, CostFetch, ScanJob, ScanKind

SERVICE_NAME = "ce"
CACHED = timedelta(hours=6)
FIRST_DAYS = 92  # eight weeks of history for the oldest day judged, and the months people compare
AGAIN_DAYS = 35  # Cost Explorer revises the days of a month until its bill is closed
THREADS = 4
NO_DATA = "DataUnavailableException"
NOT_ACTIVATED = "not enabled for cost explorer"

Item: TypeAlias = tuple[Question, Answer | CallEnd]


def refresh_costs(account: Account, session: AwsSession, job: ScanJob | None) -> list[CallEnd]:
    """Fetch and store costs, forecast, commitments and anomalies; then budgets are judged.

    For scans, discoveries and cost refreshes alike, in the thread that owns the database. No
    denied or failed call raises: each is an end in the answer, for the scan's coverage map.
    A question answered within `CACHED` is not asked again, for each request costs 0.01 USD; a
    cost refresh, which is asked for to know now, takes only answers since it was asked for.
    """
    return _Refresh(account, session, job).run()


@dataclass
class _Refresh:
    account: Account
    session: AwsSession
    job: ScanJob | None
    began_at: datetime = field(default_factory=timezone.now)
    _remainder: Remainder | None = None
    _theirs: Sequence[TheirAnomaly] | None = None
    _keepers: dict[str, DayKeeper] = field(default_factory=dict)

    @property
    def today(self) -> date:
        return self.began_at.date()

    def run(self) -> list[CallEnd]:
        answered = self._answered_before()
        open_questions = [q for q in QUESTIONS if q.call not in answered]
        ends = [_served(call, at) for call, at in answered.items()]
        ends += self._ask(open_questions)
        self._conclude()
        return sorted(ends, key=lambda end: [q.call for q in QUESTIONS].index(end.call))

    def _answered_before(self) -> dict[str, datetime]:
        since = self.began_at - CACHED
        if self.job is not None and self.job.kind == ScanKind.COST:
            since = max(since, self.job.created_at)
        fetches = CostFetch.objects.filter(account=self.account, fetched_at__gte=since)
        return dict(fetches.values_list("call", "fetched_at"))

    def _ask(self, questions: Sequence[Question]) -> list[CallEnd]:
        if not questions:
            return []
        client = self.session.client(SERVICE_NAME, CE_REGION)
        subject = self._subject()
        # The days one question after the other: both want the same rate, and pages of one at a
        # time bound the memory. Everything else is small.
        usage = [q for q in USAGE if q in questions]
        groups = [usage, *([q] for q in OTHERS if q in questions)]
        producers = [partial(_answers, client, subject, group) for group in groups if group]
        ends: list[CallEnd] = []
        with closing(stream(producers, threads=min(THREADS, len(producers)))) as items:
            for question, item in items:
                if self.job is not None:
                    self.job.ensure_claimed()
                if isinstance(item, CallEnd):
                    ends.append(self._end(question, item))
                else:
                    self._keep(question, item)
        return ends

    def _subject(self) -> Subject:
        known = CostFetch.objects.filter(account=self.account, call=USAGE[0].call).exists()
        days = AGAIN_DAYS if known else FIRST_DAYS
        return Subject(self.account.aws_account_id, self.today, self.today - timedelta(days=days))

    def _keep(self, question: Question, answer: Answer) -> None:
        end = midnight(self.today)
        start = end - timedelta(days=COMMITMENT_DAYS)
        match answer:
            case DayCosts():
                keeper = self._keepers.setdefault(
                    question.call, DayKeeper(self.account, answer.dimension, self.began_at)
                )
                keeper.keep(answer)
            case Remainder():
                self._remainder = answer
            case Covered():
                commitments.keep_covered(self.account, answer, start, end)
            case Used():
                commitments.keep_used(self.account, answer, start, end)
            case TheirAnomalies():
                self._theirs = answer.found

    def _end(self, question: Question, end: CallEnd) -> CallEnd:
        rows = end.rows
        if (keeper := self._keepers.get(question.call)) is not None:
            (keeper.finish if end.is_ok else keeper.abandon)()
            rows = keeper.rows
        if end.is_ok:
            CostFetch.objects.update_or_create(
                account=self.account,
                call=question.call,
                defaults={
                    "tenant_id": self.account.tenant_id,
                    "fetched_at": timezone.now(),
                    "rows": rows,
                },
            )
        return CallEnd(
            end.service, end.call, end.outcome, end.region, rows, end.calls, end.duration_ms
        )

    def _conclude(self) -> None:
        """What is read from the stored days, whatever could be asked this time."""
        keep_forecast(self.account, self.today, self._remainder)
        detection.keep_anomalies(self.account, self.today, self._theirs)
        budgets.judge_budgets(self.account, self.today)


def _answers(client: object, subject: Subject, questions: Sequence[Question]) -> Iterator[Item]:
    """In a thread: no database."""
    for question in questions:
        yield from ((question, item) for item in _answer(client, subject, question))


def _answer(client: object, subject: Subject, question: Question) -> Iterator[Answer | CallEnd]:
    started = time.monotonic()
    requests = Requests()
    outcome = UnitOutcome(Outcome.OK)
    rows = 0
    try:
        for answer in question.ask(client, subject, requests):
            rows += 1
            yield answer
    except AWS_ERRORS as error:
        outcome = outcome_of(error, question)
    milliseconds = int((time.monotonic() - started) * 1000)
    yield CallEnd(
        SERVICE_NAME,
        question.call,
        outcome,
        rows=rows,
        calls=requests.sent,
        duration_ms=milliseconds,
    )


def outcome_of(error: Exception, question: Question) -> UnitOutcome:
    """Two answers of Cost Explorer mean something of their own: it was never switched on in the
    account, and there is nothing to tell."""
    told = classify(error, region=CE_REGION, iam_action=question.iam_action)
    if NOT_ACTIVATED in told.message.lower():
        return UnitOutcome(Outcome.NOT_ENABLED, told.code, told.message)
    if error_code(error) != NO_DATA:
        return told
    if question.none_means_nothing:
        return UnitOutcome(Outcome.OK, told.code, told.message)
    return UnitOutcome(Outcome.NOT_ENABLED, told.code, told.message)


def _served(call: str, at: datetime) -> CallEnd:
    message = f"Answered at {at:%Y-%m-%d %H:%M} UTC; asked again six hours later."
    return CallEnd(SERVICE_NAME, call, UnitOutcome(Outcome.OK, message=message))
