"""The lines of a scan's coverage map: what each call in each region came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import transaction

from hostmaster.core import logs
from hostmaster.core.metrics.services import Increment, add
from scans.aws.errors import Outcome, UnitOutcome
from scans.models import ScanJob, ScanUnit

CALLS_TOTAL = "aws_calls_total"
# What is worse is said of a unit that ended in several ways.
_WORSE = (
    Outcome.OK,
    Outcome.NOT_ENABLED,
    Outcome.THROTTLED,
    Outcome.ERROR,
    Outcome.DENIED,
)
_UPDATED = (
    "outcome",
    "error_code",
    "message",
    "missing_action",
    "rows",
    "calls",
    "throttled",
    "duration_ms",
)


@dataclass(frozen=True)
class UnitReport:
    """How one (service, call, region) ended. `answers`: its requests by outcome, repeated ones
    included, empty where another unit of the same requests counts them."""

    service: str
    call: str
    region: str
    outcome: UnitOutcome
    rows: int = 0
    duration_ms: int = 0
    answers: Counter[str] = field(default_factory=Counter)

    @property
    def is_ok(self) -> bool:
        return self.outcome.outcome == Outcome.OK

    @property
    def name(self) -> tuple[str, str, str]:
        return (self.service, self.call, self.region)


def merged(one: UnitReport, other: UnitReport) -> UnitReport:
    """Both parts of one unit: as bad as the worse."""
    worse = max(one, other, key=lambda report: _WORSE.index(report.outcome.outcome))
    return UnitReport(
        *one.name,
        outcome=worse.outcome,
        rows=one.rows + other.rows,
        duration_ms=one.duration_ms + other.duration_ms,
        answers=one.answers + other.answers,
    )


def save_units(job: ScanJob, reports: Sequence[UnitReport]) -> None:
    """Write them and count their calls. An upsert: a worker that lost this job may still be
    writing its own."""
    if not reports:
        return
    with transaction.atomic():
        ScanUnit.objects.bulk_create(
            [_unit(job, report) for report in reports],
            update_conflicts=True,
            unique_fields=["job", "service", "region", "call"],
            update_fields=_UPDATED,
        )
        add(
            *(
                Increment(CALLS_TOTAL, {"service": report.service, "outcome": outcome}, count)
                for report in reports
                for outcome, count in report.answers.items()
            )
        )


def _unit(job: ScanJob, report: UnitReport) -> ScanUnit:
    return ScanUnit(
        job=job,
        service=report.service,
        call=report.call,
        region=report.region,
        outcome=report.outcome.outcome.value,
        error_code=report.outcome.code,
        message=logs.mask(report.outcome.message),
        missing_action=report.outcome.missing_action,
        rows=report.rows,
        calls=report.answers.total(),
        throttled=report.answers[Outcome.THROTTLED.value],
        duration_ms=report.duration_ms,
    )
