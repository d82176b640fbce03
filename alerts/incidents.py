"""The life of an incident. Each change is one transaction: the guarded write, the line of the
timeline, what is owed to the channels, and the live event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from alerts import outbox
from alerts.models import (
    Event,
    Incident,
    IncidentEvent,
    IncidentEventKind,
    IncidentStatus,
    Notification,
    NotificationState,
    Resolution,
)
from alerts.suppression import Suppression, Suppressions
from hostmaster.core import logs
from hostmaster.core.live.services import publish_many
from monitors.models import Monitor

if TYPE_CHECKING:
    from django.contrib.auth.models import User

EVALUATOR = "evaluator"
OTHER_PROGRAM = "another program"
CHUNK = 100  # incidents a transaction: a storm costs a hundredth of the commits


class IncidentResolvedError(Exception):
    """This incident is resolved already."""


def open_incidents(wanted: Sequence[Incident], at: datetime) -> list[Incident]:
    """Store those nobody has open yet, parents before what depends on them; answers which.

    The database decides who is first: `INSERT … ON CONFLICT DO NOTHING` on the constraints.
    """
    if not wanted:
        return []
    suppressions = Suppressions.load(wanted, at)
    opened: list[Incident] = []
    # One order for all processes, so that two that open the same do not wait for each other.
    ordered = sorted(wanted, key=lambda i: (str(i.alert_rule_id), i.subject))
    for depth in sorted({suppressions.depth(i.monitor_id) for i in wanted}):
        level = [i for i in ordered if suppressions.depth(i.monitor_id) == depth]
        for start in range(0, len(level), CHUNK):
            with transaction.atomic():
                opened += _open_chunk(level[start : start + CHUNK], suppressions)
    return opened


def _open_chunk(wanted: Sequence[Incident], suppressions: Suppressions) -> list[Incident]:
    _attach_monitors(wanted)
    for incident in wanted:
        incident.announced_at = timezone.now()
        _suppress(incident, suppressions.of(incident))
    Incident.objects.bulk_create(wanted, ignore_conflicts=True)
    pks = [incident.pk for incident in wanted]
    stored = set(Incident.objects.filter(pk__in=pks).values_list("pk", flat=True))
    opened = [incident for incident in wanted if incident.pk in stored]
    for incident in opened:
        suppressions.note_opened(incident)
    lines = [line_of(i, IncidentEventKind.OPENED, note=i.trigger_value or "") for i in opened]
    lines += [_suppressed_line(incident) for incident in opened if incident.is_suppressed]
    IncidentEvent.objects.bulk_create(lines)
    outbox.enqueue_all(opened, Event.OPENED)
    announce(opened, "opened")
    for incident in opened:
        log_move(incident, "")
    return opened


def adopt(incident: Incident, at: datetime) -> bool:
    """Make a row that another program wrote ours: its tenant, its timeline, what is owed."""
    rule = incident.alert_rule
    fields: dict[str, Any] = {
        "announced_at": timezone.now(),
        "tenant_id": incident.tenant_id or rule.tenant_id,
        "severity": incident.severity or rule.severity,
        "title": incident.title or adopted_title(incident),
    }
    if incident.monitor is not None:
        fields["subject"] = incident.subject or monitor_subject(incident.monitor)
    incident.tenant_id = fields["tenant_id"]
    if incident.is_resolved:
        fields |= _end_by_others(incident)
    else:
        suppression = Suppressions.load([incident], at).of(incident)
        fields |= {
            "suppress_reason": suppression.reason,
            "suppressed_by_id": suppression.parent_id,
        }
    with transaction.atomic():
        if not incident.update_guarded(**fields):
            return False
        record(incident, IncidentEventKind.ADOPTED)
        if not incident.is_resolved:
            _announce_opening(incident)
    return True


def adopt_end(incident: Incident) -> bool:
    """Tell of the end that another program wrote: for us, a person's word."""
    came_from = IncidentStatus.ACKNOWLEDGED if incident.acknowledged_at else IncidentStatus.OPEN
    with transaction.atomic():
        if not incident.update_guarded(**_end_by_others(incident)):
            return False
        how = f"{Resolution.BY_PERSON.label}."
        record(incident, IncidentEventKind.RESOLVED, actor=OTHER_PROGRAM, note=how)
        outbox.enqueue(incident, Event.RESOLVED)
        announce([incident], "resolved")
        log_move(incident, came_from)
    return True


def adopt_acknowledgement(incident: Incident) -> bool:
    """Tell that somebody is at it, as another program wrote."""
    with transaction.atomic():
        if not incident.update_guarded(acknowledged_at=timezone.now()):
            return False
        record(incident, IncidentEventKind.ACKNOWLEDGED, actor=OTHER_PROGRAM)
        outbox.enqueue(incident, Event.ACKNOWLEDGED)
        announce([incident], "acknowledged")
        log_move(incident, IncidentStatus.OPEN)
    return True


def _end_by_others(incident: Incident) -> dict[str, Any]:
    now = timezone.now()
    # An end to come would keep it from opening anew until then.
    ended_at = min(incident.resolved_at or now, now)
    return {"resolution": Resolution.BY_PERSON, "resolved_at": ended_at}


def release(incident: Incident) -> bool:
    """Tell of an incident that was kept back: its reason for silence is over.

    Not while a message about it is on its way. That one may have been judged while the silence
    held, and be kept back in a moment: what is owed beside it now would be taken for told.
    """
    if _is_on_its_way(incident):
        return False
    with transaction.atomic():
        if not incident.update_guarded(suppress_reason="", suppressed_by=None):
            return False
        record(incident, IncidentEventKind.RELEASED)
        outbox.enqueue(incident, Event.OPENED)
        announce([incident], "released")
    return True


def keep_back(incident: Incident, reason: str) -> bool:
    """Note that nobody was told after all: silence began between the opening and the sending.

    The evaluator tells of it once the reason is over and it still is open. So it is written even
    if somebody changed the incident, or released it, since it was read here.
    """
    while reason and not incident.is_resolved:
        before = incident.suppress_reason
        with transaction.atomic():
            if incident.update_guarded(suppress_reason=before or reason):
                if not before:
                    record(incident, IncidentEventKind.SUPPRESSED, note=reason)
                    announce([incident], "suppressed")
                return not before
        if not Incident.objects.filter(pk=incident.pk).exists():
            return False
        incident.refresh_from_db()
    return False


def remind(incident: Incident) -> bool:
    """Say once more that it is still open."""
    with transaction.atomic():
        if not incident.update_guarded(reminded_at=timezone.now()):
            return False
        record(incident, IncidentEventKind.REMINDED)
        outbox.enqueue(incident, Event.REMINDER)
    return True


def acknowledge(
    incident: Incident, user: User | None, note: str = "", *, actor: str = ""
) -> Incident:
    """Say that somebody is at it: no more reminders. Once more: nothing happens.

    `actor` names who it is where no user is known, such as a token. Raises `IncidentResolvedError`.
    """
    while incident.status == IncidentStatus.OPEN:
        with transaction.atomic():
            if incident.advance(
                IncidentStatus.ACKNOWLEDGED,
                acknowledged_at=timezone.now(),
                acknowledged_by=user,
                note=note or incident.note,
            ):
                who = actor or name_of(user)
                record(incident, IncidentEventKind.ACKNOWLEDGED, actor=who, note=note)
                outbox.enqueue(incident, Event.ACKNOWLEDGED)
                announce([incident], "acknowledged")
                log_move(incident, IncidentStatus.OPEN)
                return incident
        incident.refresh_from_db()
    if incident.is_resolved:
        raise IncidentResolvedError(str(IncidentResolvedError.__doc__))
    return incident


def resolve(incident: Incident, user: User | None, note: str = "", *, actor: str = "") -> Incident:
    """End it by a person's word. It opens anew when the condition is seen to hold after that.

    Raises `IncidentResolvedError`.
    """
    while not incident.is_resolved:
        with transaction.atomic():
            if _end([(incident, Resolution.BY_PERSON)], user=user, note=note, actor=actor):
                return incident
        incident.refresh_from_db()
    raise IncidentResolvedError(str(IncidentResolvedError.__doc__))


def resolve_incidents(ended: Iterable[tuple[Incident, Resolution]]) -> list[Incident]:
    """End those whose condition no longer holds, acknowledged or not; answers which."""
    listed = list(ended)
    resolved: list[Incident] = []
    for start in range(0, len(listed), CHUNK):
        with transaction.atomic():
            # One that somebody changed meanwhile is judged again at the next evaluation.
            resolved += _end(listed[start : start + CHUNK])
    return resolved


def add_note(incident: Incident, user: User | None, note: str, *, actor: str = "") -> IncidentEvent:
    """A line in the timeline, at any time."""
    with transaction.atomic():
        Incident.objects.filter(pk=incident.pk).update(note=note)
        incident.note = note
        line = record(incident, IncidentEventKind.NOTED, actor=actor or name_of(user), note=note)
        announce([incident], "noted")
    return line


def _end(
    ended: Sequence[tuple[Incident, Resolution]],
    *,
    user: User | None = None,
    note: str = "",
    actor: str = "",
) -> list[Incident]:
    """Within a transaction. Answers those that nobody else changed meanwhile."""
    now = timezone.now()
    who = actor or name_of(user)
    over, lines = [], []
    for incident, how in ended:
        came_from = incident.status
        fields = {"resolution": how, "resolved_by": user, "note": note or incident.note}
        if incident.is_resolved or not incident.advance(
            IncidentStatus.RESOLVED, resolved_at=now, **fields
        ):
            continue
        over.append(incident)
        why = f"{how.label}. {note}".strip()
        lines.append(line_of(incident, IncidentEventKind.RESOLVED, actor=who, note=why))
        log_move(incident, came_from)
    _attach_monitors(over)
    IncidentEvent.objects.bulk_create(lines)
    outbox.enqueue_all(over, Event.RESOLVED)
    announce(over, "resolved")
    return over


def record(
    incident: Incident, kind: IncidentEventKind, *, actor: str = EVALUATOR, note: str = ""
) -> IncidentEvent:
    """Add to the timeline, in the transaction of the change."""
    line = line_of(incident, kind, actor=actor, note=note)
    line.save(force_insert=True)
    return line


def line_of(
    incident: Incident, kind: IncidentEventKind, *, actor: str = EVALUATOR, note: str = ""
) -> IncidentEvent:
    return IncidentEvent(incident=incident, kind=kind, actor=actor, note=note)


def announce(incidents: Sequence[Incident], what: str) -> None:
    """Tell open pages."""
    publish_many(
        (i.tenant_id or i.alert_rule.tenant_id, "incident", {"event": what, **as_live(i)})
        for i in incidents
    )


def log_move(incident: Incident, came_from: str) -> None:
    """The log's line of a change of state, once it is committed."""
    log = partial(logs.log_transition, "alerts.Incident", incident.pk, came_from)
    about = {"tenant": incident.tenant_id, "reason": incident.title}
    kind = incident.alert_rule.kind
    transaction.on_commit(partial(log, str(incident.status), **about, kind=kind))


def as_live(incident: Incident) -> dict[str, Any]:
    """What a page needs to show the change."""
    return {
        "id": str(incident.pk),
        "status": str(incident.status),
        "title": incident.title,
        "severity": incident.severity,
        "monitor": str(incident.monitor_id) if incident.monitor_id else None,
        "rule": str(incident.alert_rule_id),
        "started_at": incident.started_at.isoformat(),
        "resolved_at": incident.resolved_at.isoformat() if incident.resolved_at else None,
        "suppress_reason": incident.suppress_reason,
    }


def monitor_subject(monitor: Monitor) -> str:
    return f"monitor:{monitor.pk}"


def adopted_title(incident: Incident) -> str:
    about = incident.monitor.name if incident.monitor is not None else incident.subject
    rule = incident.alert_rule
    return (f"{about}: {rule.name}" if about else rule.name)[:300]


def name_of(user: User | None) -> str:
    return user.get_username() if user is not None else EVALUATOR


def _announce_opening(incident: Incident) -> None:
    if incident.is_suppressed:
        _suppressed_line(incident).save(force_insert=True)
    outbox.enqueue(incident, Event.OPENED)
    announce([incident], "opened")
    log_move(incident, "")


def _is_on_its_way(incident: Incident) -> bool:
    """Some worker holds a message that tells of it, alone or with others."""
    sending = NotificationState.SENDING
    held = Q(state=sending) | Q(state=NotificationState.PENDING, digest__state=sending)
    return Notification.objects.filter(held, incident=incident).exists()


def _suppressed_line(incident: Incident) -> IncidentEvent:
    return line_of(incident, IncidentEventKind.SUPPRESSED, note=incident.suppress_reason)


def _suppress(incident: Incident, suppression: Suppression) -> None:
    incident.suppress_reason = suppression.reason
    incident.suppressed_by_id = suppression.parent_id


def _attach_monitors(incidents: Sequence[Incident]) -> None:
    """Fetch their monitors at once: each is named in what is told."""
    wanted = {i.monitor_id for i in incidents if i.monitor_id and not _has_monitor(i)}
    found = Monitor.objects.in_bulk(wanted) if wanted else {}
    for incident in incidents:
        if incident.monitor_id in found:
            incident.monitor = found[incident.monitor_id]


def _has_monitor(incident: Incident) -> bool:
    return "monitor" in incident._state.fields_cache
