"""What goes wrong in the product itself: `dead_letter`, `worker_crash`, `component_health`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import Count, Max, Min

from alerts.evaluators.types import Finding, Judgement, Key, Outcome, Scope
from alerts.models import AlertRule
from hostmaster.core.health.models import ComponentState, Status, SystemLog
from hostmaster.core.jobs.models import DurableJobQuerySet
from hostmaster.core.registry import get_registry


@dataclass(frozen=True)
class DeadJobs:
    """Jobs of one kind and tenant that failed for good and were not retried."""

    tenant_id: UUID
    label: str
    kind: str
    noun: str  # “AWS scans”
    count: int
    first_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True)
class Crash:
    """A lane ended by itself."""

    lane: str
    message: str
    at: datetime


def judge_dead_letters(rule: AlertRule, dead: Iterable[DeadJobs]) -> list[Finding]:
    return [
        _dead_finding(rule, jobs)
        for jobs in dead
        if jobs.tenant_id == rule.tenant_id and jobs.count >= rule.settings.threshold
    ]


def judge_crashes(rule: AlertRule, crashes: Iterable[Crash], at: datetime) -> list[Finding]:
    """So many crashes of a lane within the rule's minutes; over when none is that new."""
    settings = rule.settings
    since = at - timedelta(minutes=settings.number("minutes"))
    by_lane: dict[str, list[Crash]] = {}
    for crash in crashes:
        if crash.at > since:
            by_lane.setdefault(crash.lane, []).append(crash)
    return [
        _crash_finding(rule, lane, sorted(found, key=lambda crash: crash.at))
        for lane, found in sorted(by_lane.items())
        if len(found) >= settings.threshold
    ]


def judge_component(level: str, status: str) -> Outcome:
    """What is less bad than the level is not good yet: an open incident stays."""
    if status == Status.CRITICAL or status == level:
        return Outcome.FIRING
    if status in (Status.DEGRADED, Status.UNKNOWN):
        return Outcome.HELD
    return Outcome.CLEAR


def evaluate_dead_letters(rules: Sequence[AlertRule], scope: Scope, at: datetime) -> Judgement:
    """One query for each model of jobs."""
    dead: defaultdict[UUID, list[DeadJobs]] = defaultdict(list)
    for jobs in dead_jobs({rule.tenant_id for rule in rules}):
        dead[jobs.tenant_id].append(jobs)
    return Judgement(
        firing=[f for rule in rules for f in judge_dead_letters(rule, dead[rule.tenant_id])]
    )


def evaluate_crashes(rules: Sequence[AlertRule], scope: Scope, at: datetime) -> Judgement:
    """One query."""
    minutes = max((rule.settings.number("minutes") for rule in rules), default=0)
    recent = SystemLog.objects.filter(timestamp__gt=at - timedelta(minutes=minutes))
    crashes = [
        Crash(str(row.context.get("lane") or "unknown"), row.message, row.timestamp)
        for row in recent.filter(context__fact="worker_crash")
    ]
    return Judgement(firing=[f for rule in rules for f in judge_crashes(rule, crashes, at)])


def evaluate_components(rules: Sequence[AlertRule], scope: Scope, at: datetime) -> Judgement:
    """One query."""
    judgement = Judgement()
    states = list(ComponentState.objects.all())
    for rule in rules:
        level = str(rule.settings.params["level"])
        for state in states:
            outcome = judge_component(level, state.status)
            subject = f"component:{state.component}"
            if outcome is Outcome.FIRING:
                judgement.firing.append(_component_finding(rule, subject, state))
            elif outcome is Outcome.HELD:
                judgement.held.add(Key(rule.pk, None, subject))
    return judgement


def dead_jobs(tenants: Collection[UUID]) -> list[DeadJobs]:
    """The dead letters of every model of jobs, those of these tenants."""
    found = []
    for label in get_registry().job_models():
        model: Any = apps.get_model(label)
        has_kinds = any(field.name == "kind" for field in model._meta.get_fields())
        by = ["tenant_id", "kind"] if has_kinds else ["tenant_id"]
        dead = DurableJobQuerySet(model).dead().order_by().values(*by)
        rows = dead.annotate(count=Count("pk"), first=Min("finished_at"), last=Max("finished_at"))
        noun = str(model._meta.verbose_name_plural)
        for row in rows:
            if row["tenant_id"] in tenants:
                kind = str(row.get("kind", ""))
                named = f"{noun} ({kind})" if kind else noun
                tenant, count = row["tenant_id"], row["count"]
                found.append(DeadJobs(tenant, label, kind, named, count, row["first"], row["last"]))
    return found


def _dead_finding(rule: AlertRule, jobs: DeadJobs) -> Finding:
    return Finding(
        rule=rule,
        subject=f"dead:{jobs.label}:{jobs.kind}".rstrip(":"),
        title=f"Dead letters: {jobs.noun}"[:300],
        trigger_value=f"{jobs.count} of the {jobs.noun} failed for good",
        seen_at=jobs.last_at,
    )


def _crash_finding(rule: AlertRule, lane: str, crashes: Sequence[Crash]) -> Finding:
    times = "once" if len(crashes) == 1 else f"{len(crashes)} times"
    return Finding(
        rule=rule,
        subject=f"lane:{lane}",
        title=f"Workers of lane {lane} crashed"[:300],
        trigger_value=f"Ended by itself {times}. {crashes[-1].message}"[:2000],
        began_at=crashes[0].at,
        seen_at=crashes[-1].at,
    )


def _component_finding(rule: AlertRule, subject: str, state: ComponentState) -> Finding:
    return Finding(
        rule=rule,
        subject=subject,
        title=f"Component {state.component} is {state.status}"[:300],
        trigger_value=state.message or str(state.status),
        began_at=state.since,
        seen_at=state.checked_at or state.since,
    )
