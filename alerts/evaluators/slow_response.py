"""`slow_response`: k checks of a monitor in a row took longer than so many milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from alerts.evaluators.checks import (
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


def measured(checks: Sequence[Check]) -> list[tuple[int, Check]]:
    """What succeeded and took a known time: how long a failure took says nothing about speed."""
    return [(c.response_time_ms, c) for c in checks if c.success and c.response_time_ms is not None]


def judge(
    threshold_ms: float, count: int, clear_ratio: float, milliseconds: Sequence[int]
) -> Outcome:
    """By response times, the newest first. Between the threshold and `clear_ratio` of it nothing
    changes, so that what wavers around the threshold is told once."""
    last = milliseconds[:count]
    if len(last) < count:
        return Outcome.HELD
    if all(took > threshold_ms for took in last):
        return Outcome.FIRING
    if all(took <= threshold_ms * clear_ratio for took in last):
        return Outcome.CLEAR
    return Outcome.HELD


def evaluate(rules: Sequence[AlertRule], scope: Scope, at: datetime) -> Judgement:
    """Four queries, however many rules and monitors."""
    judgement = Judgement(absent=Resolution.RULE_CHANGED)
    settings_by_rule = {rule.pk: rule.settings for rule in rules}
    scope = _suspects(scope, min(settings.threshold for settings in settings_by_rule.values()))
    monitors = watched_monitors(RuleKind.SLOW_RESPONSE, scope)
    needed = max(settings.count("checks") for settings in settings_by_rule.values())
    # Twice as many, for some of them failed.
    checks = last_checks(RuleKind.SLOW_RESPONSE, scope, 2 * needed)
    for rule, monitor in pairs(rules, monitors):
        settings = settings_by_rule[rule.pk]
        count, ratio = settings.count("checks"), settings.number("clear_ratio")
        taken = measured(checks.get(monitor.pk, []))
        outcome = judge(settings.threshold, count, ratio, [took for took, _ in taken])
        fires = outcome is Outcome.FIRING
        note(
            judgement,
            rule,
            monitor,
            outcome,
            _finding(rule, monitor, taken[:count]) if fires else None,
        )
    return judgement


def _suspects(scope: Scope, lowest_ms: float) -> Scope:
    """Without those whose newest check was fast: they may be over, but do not fire."""
    unlike_fast = "NOT c.success OR c.response_time_ms IS NULL OR c.response_time_ms > %s"
    return suspects(RuleKind.SLOW_RESPONSE, scope, unlike_fast, lowest_ms)


def _finding(rule: AlertRule, monitor: Watched, slow: Sequence[tuple[int, Check]]) -> Finding:
    took = ", ".join(f"{ms} ms" for ms, _ in slow[:5])
    more = ", …" if len(slow) > 5 else ""
    return Finding(
        rule=rule,
        subject=subject_of(monitor),
        title=f"{monitor.name} is slow"[:300],
        trigger_value=f"Answered in {took}{more}; more than {rule.settings.threshold:g} ms",
        monitor_id=monitor.pk,
        began_at=slow[-1][1].checked_at,
        seen_at=slow[0][1].checked_at,
    )
