"""How the things of this app look in lists."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from alerts.models import AlertChannel, DeliveryAttempt, Incident, IncidentStatus, Severity
from hostmaster.core.web.cells import NOTHING, Tone, badge, instant, shortened, span

_STATUS = {
    IncidentStatus.OPEN: ("●", Tone.BAD),
    IncidentStatus.ACKNOWLEDGED: ("◐", Tone.WARN),
    IncidentStatus.RESOLVED: ("✓", Tone.GOOD),
}


def incident_badge(incident: Incident) -> SafeString:
    mark, tone = _STATUS[IncidentStatus(incident.status)]
    return badge(mark, incident.get_status_display(), tone)


def severity_badge(severity: str) -> SafeString | str:
    if severity not in Severity.values:
        return NOTHING
    is_critical = severity == Severity.CRITICAL
    tone = Tone.BAD if is_critical else Tone.WARN
    return badge("!!" if is_critical else "!", str(Severity(severity).label), tone)


def channel_badge(channel: AlertChannel) -> SafeString:
    if not channel.enabled:
        is_by_itself = bool(channel.disabled_reason)
        return badge("✗" if is_by_itself else "–", "Off", Tone.BAD if is_by_itself else Tone.CALM)
    if channel.is_breaker_open:
        return badge("↻", "Failing", Tone.WARN)
    if channel.last_success_at is None:
        return badge("○", "Not used yet", Tone.CALM)
    return (
        badge("✓", "Works", Tone.GOOD)
        if not channel.last_error
        else badge("!", "Failed", Tone.WARN)
    )


def lasted(incident: Incident) -> str:
    if incident.resolved_at is not None:
        return span(incident.resolved_at - incident.started_at)
    return f"{span(timezone.now() - incident.started_at)} so far"


def told(incident: Incident) -> SafeString | str:
    """When the first channel took it, or why nobody was told."""
    if incident.suppress_reason:
        return format_html("nobody: {}", shortened(incident.suppress_reason, 60))
    return instant(incident.notified_at)


def link(row: Any, text: str = "") -> SafeString | str:
    """To the page of any row that has one."""
    if row is None:
        return NOTHING
    options = row._meta
    address = reverse(f"admin:{options.app_label}_{options.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', address, text or row)


def attempt_row(attempt: DeliveryAttempt) -> dict[str, Any]:
    is_ok = attempt.ok
    return {
        "no": attempt.no,
        "at": instant(attempt.started_at),
        "result": badge("✓", "Delivered", Tone.GOOD) if is_ok else badge("✗", "Failed", Tone.BAD),
        "status": NOTHING if attempt.status_code is None else attempt.status_code,
        "took": NOTHING if attempt.ms is None else f"{attempt.ms:,} ms",
        "error": attempt.error or NOTHING,
        "reply": shortened(attempt.reply, 200),
        "is_test": attempt.notification_id is None,
    }
