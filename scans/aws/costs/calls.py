"""One call of a scan that is no collector, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass

from scans.aws.errors import Outcome, UnitOutcome

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
