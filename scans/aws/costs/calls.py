"""One call of a scan that is no collector, and how it ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError

from scans.aws.errors import Outcome, UnitOutcome
from scans.aws.units import UnitReport

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

    def as_report(self) -> UnitReport:
        """Its line in the coverage map."""
        answers = Counter({self.outcome.outcome.value: self.calls} if self.calls else {})
        return UnitReport(
            self.service, self.call, self.region, self.outcome, self.rows, self.duration_ms, answers
        )


class BrokenAnswerError(BotoCoreError):  # type: ignore[misc]  # botocore ships no types
    """An answer of AWS broke off."""

    # botocore reads half a JSON document as an answer with nothing in it.
    fmt = "An answer of AWS broke off before {missing}."


def whole(answer: Mapping[str, Any], holds: str) -> Mapping[str, Any]:
    """Raises `BrokenAnswerError` for one without what each whole one `holds`."""
    if holds not in answer:
        raise BrokenAnswerError(missing=holds)
    return answer
