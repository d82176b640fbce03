"""`down`: the last N checks of a monitor all failed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import takewhile

from alerts.evaluators.checks import (
    OWN_OUTAGE,
    Check,
    Watched,
    last_checks,
    note,
    pairs,
    subject_of,
    suspects,
    watched_monitors,
)
from alerts.evaluators.types import Finding, Judgement, Outcome, Scope
from alerts.models import AlertRule, Resolution, RuleKind

SPARE = 2  # rows beside those needed: some may be our own outages


def judge(failures: int, checks: Sequence[Check], *, successes_before_up: int = 1) -> Outcome:
    """By checks, the newest first. Our own outages count for neither side."""
    seen = [check for check in checks if check.error_code != OWN_OUTAGE]
    if seen and not seen[0].success and len(failed_in_row(seen)) >= failures:
        return Outcome.FIRING
    succeeded = sum(1 for _ in takewhile(lambda check: check.success, seen))
    if succeeded >= successes_before_up or (not succeeded and any(c.success for c in seen)):
        return Outcome.CLEAR
    return Outcome.HELD


def failed_in_row(checks: Sequence[Check]) -> list[Check]:
    """The failures since the last success, the newest first."""
    seen = (check for check in checks if check.error_code != OWN_OUTAGE)
    return list(takewhile(lambda check: not check.success, seen))


def evaluate(rules: Sequence[AlertRule], scope: Scope, at: datetime) -> Judgement:
    """Four queries, however many rules and monitors."""
    judgement = Judgement(absent=Resolution.RULE_CHANGED)
    # After a success it can only be over; what our own outage hides is looked at.
    scope = suspects(RuleKind.DOWN, scope, "NOT c.success OR c.error_code = %s", OWN_OUTAGE)
    monitors = watched_monitors(RuleKind.DOWN, scope)
    checks = last_checks(RuleKind.DOWN, scope, _rows_needed(rules, monitors))
    failures = {rule.pk: int(rule.settings.threshold) for rule in rules}
    for rule, monitor in pairs(rules, monitors):
        seen = checks.get(monitor.pk, [])
        outcome = judge(failures[rule.pk], seen, successes_before_up=monitor.successes_before_up)
        finding = _finding(rule, monitor, seen) if outcome is Outcome.FIRING else None
        note(judgement, rule, monitor, outcome, finding)
    return judgement


def _rows_needed(rules: Sequence[AlertRule], monitors: Sequence[Watched]) -> int:
    failures = max((int(rule.settings.threshold) for rule in rules), default=1)
    successes = max((monitor.successes_before_up for monitor in monitors), default=1)
    return 2 * max(failures, successes) + SPARE


def _finding(rule: AlertRule, monitor: Watched, checks: Sequence[Check]) -> Finding:
    failed = failed_in_row(checks)
    last = failed[0]
    why = (last.error_message or "").strip()
    if not why:
        why = f"status {last.status_code}" if last.status_code is not None else "no answer"
    count = int(rule.settings.threshold)
    checks_failed = "The last check failed" if count == 1 else f"The last {count} checks failed"
    return Finding(
        rule=rule,
        subject=subject_of(monitor),
        title=f"{monitor.name} is down"[:300],
        trigger_value=f"{checks_failed}: {why}",
        monitor_id=monitor.pk,
        began_at=failed[-1].checked_at,
        seen_at=last.checked_at,
    )
