"""Judge the rules: open what fires, resolve what no longer does, remind, tell what was kept back.

Facts are read after the open incidents, so what another evaluator opens meanwhile is never
resolved by older facts; who opens first is decided by the database. Any number may run at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Max
from django.utils import timezone

from alerts import incidents
from alerts.adoption import adopt_acknowledgements, adopt_ends, adopt_foreign
from alerts.evaluators.all import EVALUATORS
from alerts.evaluators.types import WHOLE, Finding, Judgement, Key, Scope
from alerts.kinds import SPECS
from alerts.models import AlertRule, Incident, IncidentStatus, Resolution
from alerts.models.incidents import ENDED_EARLY
from alerts.suppression import Suppressions
from hostmaster.core.jobs import leases
from hostmaster.core.metrics import services as metrics

logger = logging.getLogger(__name__)

LEASE = "alerts.evaluate"
NEXT = "alerts.evaluate:next"
PATIENCE_SECONDS = 10.0


@dataclass
class Tally:
    """What one evaluation came to."""

    rules: int = 0
    opened: int = 0
    resolved: int = 0
    adopted: int = 0
    failed: list[str] = field(default_factory=list)  # kinds that could not be judged

    def add(self, other: Tally) -> None:
        self.rules += other.rules
        self.opened += other.opened
        self.resolved += other.resolved


def evaluate_rules(scope: Scope = WHOLE) -> Tally:
    """Judge all rules there are for `scope`. One kind's failure leaves the others alone."""
    started, at = time.monotonic(), timezone.now()
    tally = _adopt(at)
    for kind, rules in _rules_by_kind(scope).items():
        try:
            tally.add(_evaluate_kind(kind, rules, scope, at))
        except Exception:  # what is wrong with one kind must silence no other
            tally.failed.append(kind)
            logger.exception("alert rules of kind %s could not be judged", kind)
    _report(tally, time.monotonic() - started)
    return tally


def _adopt(at: datetime) -> Tally:
    """Take over what other programs wrote: whole incidents, and changes of ours."""
    tally = Tally()
    try:
        tally.adopted = adopt_foreign(at)
        adopt_acknowledgements()
        tally.resolved = adopt_ends()
    except Exception:  # a row that cannot even be read must not end all alerting
        logger.exception("incidents of other programs could not be adopted")
    return tally


@contextmanager
def whole_turn() -> Iterator[bool]:
    """A turn at evaluating everything: one at a time, and one more that waits.

    Who finds somebody waiting leaves: whoever waits reads the facts later than now.
    """
    owner = leases.new_owner()
    lease = timedelta(seconds=PATIENCE_SECONDS + 5)
    if not leases.acquire(NEXT, owner, lease):
        yield False
        return
    ends = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < ends:
        with leases.hold(LEASE) as held:
            if held:
                leases.release(NEXT, owner)
                yield True
                return
        time.sleep(0.05)
    leases.release(NEXT, owner)
    yield False


def _rules_by_kind(scope: Scope) -> dict[str, list[AlertRule]]:
    """The rules that can be judged; of another is said what is wrong with it."""
    kinds = [kind for kind, spec in SPECS.items() if scope.is_whole or spec.is_about_monitors]
    rules = AlertRule.objects.enabled().filter(kind__in=kinds)
    found: dict[str, list[AlertRule]] = {kind: [] for kind in kinds}
    for rule in rules.select_related("monitor", "account"):
        wrong = rule.problems()
        if wrong:
            sentences = " ".join(s for listed in wrong.values() for s in listed)
            logger.warning("alert rule %s cannot be judged: %s", rule.pk, sentences)
        else:
            found[rule.kind].append(rule)
    return found


def _evaluate_kind(kind: str, rules: Sequence[AlertRule], scope: Scope, at: datetime) -> Tally:
    unresolved = _unresolved(kind, rules, scope, at)
    if not rules and not unresolved:
        return Tally()
    judgement = EVALUATORS[kind](rules, scope, at) if rules else Judgement()
    judgeable = {rule.pk for rule in rules}
    ended = _ended(unresolved, judgement, judgeable)
    resolved = incidents.resolve_incidents(ended)
    over = {incident.pk for incident, _ in ended}
    standing = {key: i for key, i in unresolved.items() if i.pk not in over}
    _follow_up(judgement.firing, standing, at)
    new = [finding for finding in judgement.firing if finding.key not in unresolved]
    opened = incidents.open_incidents([_incident(f, at) for f in _unless_ended_early(new)], at)
    return Tally(rules=len(rules), opened=len(opened), resolved=len(resolved))


def _unresolved(
    kind: str, rules: Sequence[AlertRule], scope: Scope, at: datetime
) -> dict[Key, Incident]:
    """Those that stood before this evaluation began. What is adopted now is judged next time."""
    by_pk = {rule.pk: rule for rule in rules}
    rows = Incident.objects.unresolved().filter(alert_rule__kind=kind, announced_at__lt=at)
    if scope.monitor_ids is not None:
        rows = rows.filter(monitor__in=scope.monitor_ids)
    found: dict[Key, Incident] = {}
    for incident in rows.select_related("alert_rule", "monitor"):
        if incident.alert_rule_id in by_pk:
            incident.alert_rule = by_pk[incident.alert_rule_id]
        found[Key.of_incident(incident)] = incident
    return found


def _ended(
    unresolved: Mapping[Key, Incident], judgement: Judgement, judgeable: set[UUID]
) -> list[tuple[Incident, Resolution]]:
    firing = {finding.key for finding in judgement.firing}
    ended = []
    for key, incident in unresolved.items():
        if key in firing or key in judgement.held:
            continue
        how = _how_it_ended(key, incident, judgement, judgeable)
        if how is not None:
            ended.append((incident, how))
    return ended


def _how_it_ended(
    key: Key, incident: Incident, judgement: Judgement, judgeable: set[UUID]
) -> Resolution | None:
    if not incident.alert_rule.enabled:
        return Resolution.RULE_CHANGED
    if key.rule_id not in judgeable:
        return None  # the rule is in disorder: nothing is known
    if key in judgement.ended:
        return judgement.ended[key]
    if SPECS[incident.alert_rule.kind].is_about_monitors and key.monitor_id is None:
        # One that another program wrote without a monitor can be ended by a person only.
        return Resolution.MONITOR_REMOVED if key.subject else None
    return judgement.absent


def _follow_up(firing: Iterable[Finding], standing: Mapping[Key, Incident], at: datetime) -> None:
    """Tell what was kept back and need not be any more; remind of what nobody acknowledged."""
    known = [(finding, standing[finding.key]) for finding in firing if finding.key in standing]
    _release([(f, i) for f, i in known if i.is_suppressed and i.status == IncidentStatus.OPEN], at)
    for incident in standing.values():
        if _reminder_is_due(incident, at):
            incidents.remind(incident)


def _release(kept_back: Sequence[tuple[Finding, Incident]], at: datetime) -> None:
    if not kept_back:
        return
    suppressions = Suppressions.load([incident for _, incident in kept_back], at)
    parents = {i.suppressed_by_id for _, i in kept_back if i.suppressed_by_id}
    over = dict(Incident.objects.filter(pk__in=parents).values_list("pk", "resolved_at"))
    for finding, incident in kept_back:
        parent_over = over.get(incident.suppressed_by_id) if incident.suppressed_by_id else None
        # What only waits for its first check after the parent's recovery may recover with it.
        is_news = not (parent_over and finding.seen_at) or finding.seen_at > parent_over
        if is_news and not suppressions.of(incident).reason:
            incidents.release(incident)


def _reminder_is_due(incident: Incident, at: datetime) -> bool:
    if incident.status != IncidentStatus.OPEN or incident.is_suppressed:
        return False
    rule = incident.alert_rule
    if rule.problems():
        return False
    every = timedelta(minutes=rule.settings.number("repeat_minutes"))
    last = incident.reminded_at or incident.announced_at
    return bool(every) and last is not None and last + every <= at


def _unless_ended_early(findings: Sequence[Finding]) -> list[Finding]:
    """Without those that a person resolved, or a pause ended, after the newest evidence."""
    if not findings:
        return []
    rows = Incident.objects.filter(
        alert_rule__in={finding.rule.pk for finding in findings},
        resolution__in=ENDED_EARLY,
        resolved_at__isnull=False,
    ).order_by()
    ended: dict[Key, datetime] = {}
    groups = rows.values_list("alert_rule", "monitor", "subject").annotate(last=Max("resolved_at"))
    for rule_id, monitor_id, subject, last in groups:
        key = Key(rule_id, monitor_id, "" if monitor_id else subject)
        ended[key] = max(last, ended.get(key, last))
    return [f for f in findings if f.seen_at is None or f.seen_at > ended.get(f.key, _NEVER)]


_NEVER = datetime.min.replace(tzinfo=timezone.get_default_timezone())


def _incident(finding: Finding, at: datetime) -> Incident:
    rule = finding.rule
    return Incident(
        tenant_id=rule.tenant_id,
        alert_rule=rule,
        monitor_id=finding.monitor_id,
        subject=finding.subject,
        title=finding.title,
        severity=rule.severity,
        trigger_value=finding.trigger_value,
        started_at=min(finding.began_at or at, at),
    )


def _report(tally: Tally, seconds: float) -> None:
    metrics.add(*metrics.observe("alert_evaluation_seconds", seconds))
    logger.info("Evaluated %d alert rules", tally.rules)
    if tally.adopted:
        logger.info("Adopted %d incident(s) of other programs", tally.adopted)
    if tally.opened:
        logger.info("Created %d new incident(s)", tally.opened)
    if tally.resolved:
        logger.info("Resolved %d incident(s)", tally.resolved)
