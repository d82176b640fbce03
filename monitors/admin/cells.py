"""How the things of this app look in lists."""

from __future__ import annotations

from datetime import datetime

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from hostmaster.core.web.cells import NOTHING, Tone, badge, span
from monitors.models import Monitor, MonitorCheck, MonitorRun, MonitorStatus

EXPIRY_NEAR_DAYS = 14

_STATUS = {
    MonitorStatus.UP: ("✓", Tone.GOOD),
    MonitorStatus.DOWN: ("✗", Tone.BAD),
    MonitorStatus.UNKNOWN: ("?", Tone.WARN),
    MonitorStatus.PAUSED: ("–", Tone.CALM),
}


def state_badge(state: str) -> SafeString:
    mark, tone = _STATUS[MonitorStatus(state)]
    return badge(mark, str(MonitorStatus(state).label), tone)


def monitor_badge(monitor: Monitor) -> SafeString:
    return state_badge(monitor.status)


def result_badge(check: MonitorCheck) -> SafeString:
    return badge("✓", "OK", Tone.GOOD) if check.success else badge("✗", "Failed", Tone.BAD)


def certificate_badge(run: MonitorRun) -> SafeString | str:
    """Days that are left, or what is wrong with it; nothing where none was seen."""
    if run.ssl_valid is None:
        return NOTHING
    if not run.ssl_valid:
        return badge("✗", run.ssl_reason.replace("_", " ") or "not valid", Tone.BAD)
    if run.ssl_expires_at is None:
        return badge("✓", "valid", Tone.GOOD)
    left = (run.ssl_expires_at - timezone.now()).days
    is_near = left <= EXPIRY_NEAR_DAYS
    words = f"{left} day{'' if left == 1 else 's'}"
    return badge("!" if is_near else "✓", words, Tone.WARN if is_near else Tone.GOOD)


def monitor_link(monitor: Monitor | None) -> SafeString | str:
    if monitor is None:
        return NOTHING
    address = reverse("admin:monitors_monitor_change", args=[monitor.pk])
    return format_html('<a href="{}">{}</a>', address, monitor)


def run_of(monitor: Monitor) -> MonitorRun:
    """Its hot row; an empty one for a monitor so new that the sweep has not met it."""
    try:
        return monitor.run
    except MonitorRun.DoesNotExist:
        return MonitorRun(monitor_id=monitor.pk)


def milliseconds(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f} ms"


def percent(ratio: float | None) -> str:
    """`99.98 %`. Never rounded up to 100."""
    if ratio is None:
        return NOTHING
    shown = int(ratio * 10_000) / 100
    return f"{shown:g} %"


def lasted(since: datetime) -> str:
    return span(timezone.now() - since)
