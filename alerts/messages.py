"""What a notification tells: taken down when it happens, shown by each transport in its way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from hostmaster.core.masking import storable

LONGEST_TEXT = 2000  # of one text in a snapshot; a transport shows less


@dataclass(frozen=True)
class Message:
    """One event of one incident, in words and facts."""

    notification_id: str
    incident_id: str
    event: str  # opened | acknowledged | reminder | resolved
    severity: str  # warning | critical
    title: str
    rule: str
    kind: str
    subject: str  # what it is about: a monitor's name, an account, a component
    address: str  # the monitor's URL, if any
    detail: str  # what tripped the rule
    started_at: datetime
    resolved_at: datetime | None
    link: str
    was_told_late: bool = False  # the opening never went out: this one tells it too

    @property
    def duration(self) -> str:
        """How long it lasted, or has lasted when it was taken down."""
        return "" if self.resolved_at is None else spoken(self.resolved_at - self.started_at)

    @property
    def headline(self) -> str:
        """The whole in one line."""
        return {
            "opened": self.title,
            "reminder": f"Still open: {self.title}",
            "acknowledged": f"Acknowledged: {self.title}",
            "test": self.title,
        }.get(self.event) or self._resolved_headline()

    def _resolved_headline(self) -> str:
        after = f" {self.duration}" if self.duration else ""
        if self.was_told_late:
            return f"{self.title} – lasted{after}, resolved"
        return f"Resolved{f' after{after}' if after else ''}: {self.title}"


@dataclass(frozen=True)
class Digest:
    """Several messages told as one, the first of them lending its id."""

    messages: Sequence[Message]
    link: str

    @property
    def headline(self) -> str:
        counts = {event: sum(m.event == event for m in self.messages) for event in EVENT_WORDS}
        parts = [f"{count} {EVENT_WORDS[event]}" for event, count in counts.items() if count]
        return f"{len(self.messages)} alerts: {', '.join(parts)}"


EVENT_WORDS = {
    "opened": "opened",
    "reminder": "still open",
    "acknowledged": "acknowledged",
    "resolved": "resolved",
}


def snapshot(incident: Any, event: str) -> dict[str, Any]:
    """What to tell of `event`, as JSON. The incident may change before it goes out."""
    rule, monitor = incident.alert_rule, incident.monitor
    about = monitor.name if monitor is not None else incident.subject or rule.name
    return {
        "event": str(event),
        "severity": str(incident.severity or rule.severity),
        "title": _text(incident.title or f"{about}: {rule.name}"),
        "rule": _text(rule.name),
        "kind": str(rule.kind),
        "subject": _text(about),
        "address": _text(monitor.url if monitor is not None else ""),
        "detail": _text(incident.trigger_value or ""),
        "started_at": incident.started_at.isoformat(),
        "resolved_at": incident.resolved_at.isoformat() if incident.resolved_at else None,
    }


def message_of(notification: Any, *, was_told_late: bool = False) -> Message:
    """The message of a row of the outbox, also of one that another program wrote."""
    told = notification.payload

    def text(name: str) -> str:
        return _text(told.get(name) or "")

    return Message(
        notification_id=str(notification.pk),
        incident_id=str(notification.incident_id),
        event=str(notification.event),
        severity=text("severity") or "warning",
        title=text("title") or "Incident",
        rule=text("rule"),
        kind=text("kind"),
        subject=text("subject"),
        address=text("address"),
        detail=text("detail"),
        started_at=_instant(told.get("started_at")) or notification.created_at,
        resolved_at=_instant(told.get("resolved_at")),
        link=incident_link(notification.incident_id),
        was_told_late=was_told_late,
    )


def incident_link(incident_id: Any) -> str:
    return f"{_base()}/admin/alerts/incident/{incident_id}/change/"


def incidents_link() -> str:
    """The full list, newest first."""
    return f"{_base()}/admin/alerts/incident/"


def spoken(duration: timedelta) -> str:
    """`2 d 3 h`, `12 min`, `40 s`: two units at most."""
    seconds = max(int(duration.total_seconds()), 0)
    days, seconds = divmod(seconds, 86_400)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    first = next((index for index, (count, _) in enumerate(parts) if count), 3)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count) or "0 s"


def _base() -> str:
    return str(settings.PUBLIC_URL).rstrip("/")


def _text(value: object) -> str:
    return storable(str(value))[:LONGEST_TEXT]


def _instant(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        found = parse_datetime(value)
    except ValueError:
        return None
    if found is None:
        return None
    return found if timezone.is_aware(found) else timezone.make_aware(found)
