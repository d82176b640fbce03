"""One call of a scan that is no collector: how it ended, and its line in the coverage map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hostmaster.core import logs
from scans.aws.errors import Outcome, UnitOutcome
from scans.models import ScanJob, ScanUnit

CE_REGION = "us-east-1"  # where Cost Explorer is asked, whatever is asked about


@dataclass(frozen=True)
class CallEnd:
    """How one (service, call) ended. `calls`: requests sent, none when a recent answer served."""

    service: str  # "ce"
    call: str  # "GetCostAndUsage by service"
    outcome: UnitOutcome
    region: str = CE_REGION
    rows: int = 0
    calls: int = 0
    duration_ms: int = 0

    @property
    def is_ok(self) -> bool:
        return self.outcome.outcome == Outcome.OK


def save_ends(job: ScanJob, ends: Sequence[CallEnd]) -> None:
    """Write them into the job's coverage map; again is the same."""
    ScanUnit.objects.bulk_create(
        [_unit(job, end) for end in ends],
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


def _unit(job: ScanJob, end: CallEnd) -> ScanUnit:
    return ScanUnit(
        job=job,
        service=end.service,
        region=end.region,
        call=end.call,
        outcome=end.outcome.outcome.value,
        error_code=end.outcome.code,
        message=logs.mask(end.outcome.message),
        missing_action=end.outcome.missing_action,
        rows=end.rows,
        calls=end.calls,
        duration_ms=end.duration_ms,
    )
