"""What a scan saw and what it could not see: region × call, as the admin shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from hostmaster.core.web.cells import NOTHING, Tone, badge
from scans.admin.cells import outcome_badge
from scans.models import ScanJob, ScanUnit, UnitOutcome

_OUTCOMES = [outcome.value for outcome in UnitOutcome]


@dataclass(frozen=True)
class Coverage:
    """`regions` are the table's rows, one cell a call. Most regions of most accounts are `empty`
    or `off` (not enabled): named in a line instead. `problems` say what to allow or look into."""

    counts: list[SafeString]
    calls: list[str]
    regions: list[tuple[str, list[SafeString | str]]]
    empty: list[str]
    off: list[str]
    problems: list[tuple[ScanUnit, SafeString]]


def coverage_of(job: ScanJob) -> Coverage:
    """One query."""
    units = list(job.units.all())
    calls = sorted({_call(unit) for unit in units})
    by_region: dict[str, dict[str, ScanUnit]] = {}
    for unit in units:
        by_region.setdefault(unit.region, {})[_call(unit)] = unit
    off = [region for region, cells in by_region.items() if _is_off(cells.values())]
    empty = [region for region, cells in by_region.items() if _is_empty(cells.values())]
    return Coverage(
        counts=_counts(units),
        calls=calls,
        regions=[
            (region, [_cell(cells.get(call)) for call in calls])
            for region, cells in sorted(by_region.items())
            if region not in off and region not in empty
        ],
        empty=sorted(empty),
        off=sorted(off),
        problems=[
            (unit, outcome_badge(unit.outcome))
            for unit in units
            if unit.outcome not in {UnitOutcome.OK, UnitOutcome.NOT_ENABLED}
        ],
    )


def coverage_badge(job: ScanJob) -> SafeString | str:
    """How much of what was asked got an answer, from the row alone: for lists."""
    if job.is_running and job.progress_total:
        return badge("►", f"{job.progress_done} of {job.progress_total}", Tone.BUSY)
    outcomes = job.summary.get("units") or {}
    asked = sum(count for name, count in outcomes.items() if name != UnitOutcome.NOT_ENABLED)
    if not asked:
        return NOTHING
    answered = outcomes.get(UnitOutcome.OK, 0)
    is_whole = answered == asked
    text = f"{answered} of {asked}"
    return badge("✓" if is_whole else "!", text, Tone.GOOD if is_whole else Tone.WARN)


def _call(unit: ScanUnit) -> str:
    return f"{unit.service} {unit.call}"


def _is_off(units: Iterable[ScanUnit]) -> bool:
    return all(unit.outcome == UnitOutcome.NOT_ENABLED for unit in units)


def _is_empty(units: Iterable[ScanUnit]) -> bool:
    return all(unit.outcome == UnitOutcome.OK and not unit.rows for unit in units)


def _cell(unit: ScanUnit | None) -> SafeString | str:
    if unit is None:
        return NOTHING
    if unit.outcome == UnitOutcome.OK:
        return outcome_badge(unit.outcome, f"{unit.rows:,}")
    return outcome_badge(unit.outcome)


def _counts(units: Sequence[ScanUnit]) -> list[SafeString]:
    counted = Counter(unit.outcome for unit in units)
    return [
        outcome_badge(name, f"{counted[name]} {UnitOutcome(name).label.lower()}")
        for name in _OUTCOMES
        if counted[name]
    ]
