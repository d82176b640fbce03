"""Maintenance windows: when monitors may fail without anybody being called."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from hostmaster.core.web.cells import NOTHING, Tone, badge, instant, span
from hostmaster.core.web.entered import EDIT, REMOVE, EnteredAdmin
from monitors.admin.cells import monitor_link
from monitors.admin.fields import zone_or_utc
from monitors.admin.forms import MaintenanceForm
from monitors.maintenance import Span, spans
from monitors.models import MaintenanceWindow
from monitors.recurrence import wall_clock

LOOK_AHEAD = timedelta(days=62)  # a monthly window comes at least once
NAMED = 5


@admin.register(MaintenanceWindow)
class MaintenanceWindowAdmin(EnteredAdmin):
    change_form_template = "admin/monitors/maintenance.html"
    form_class = MaintenanceForm
    buttons = (EDIT, REMOVE)
    empty_hint = "No maintenance is announced. Add a window: while it is open, nobody is called."
    removal_warning = "If it is open now, it is over. This cannot be undone."
    list_display = ["name", "state", "covers", "next_time", "lasts", "repeats", "tenant"]
    list_filter = ["enabled", "tenant"]
    list_select_related = ["tenant"]
    list_per_page = 50
    search_fields = ["name", "external_id__startswith"]
    search_help_text = "Part of a name, or the beginning of an external id."
    readonly_fields = ["state", "covers", "begins", "lasts", "repeats"]
    fields = [
        ("covers", "tenant"),
        ("begins", "lasts"),
        ("repeats", "timezone"),
        ("external_id", "id"),
    ]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("monitors")

    @admin.display(description="state")
    def state(self, window: MaintenanceWindow) -> SafeString:
        return window_badge(window, timezone.now())

    @admin.display(description="for")
    def covers(self, window: MaintenanceWindow) -> SafeString | str:
        if window.is_for_all:
            return "all monitors"
        monitors = list(window.monitors.all())
        names = format_html_join(", ", "{}", ((monitor_link(m),) for m in monitors[:NAMED]))
        left = len(monitors) - NAMED
        more = f" and {left} more" if left > 0 else ""
        tags = f"tagged {', '.join(map(str, window.tags))}" if window.tags else ""
        return format_html("{}{}{}{}", names, more, "; " if names and tags else "", tags)

    @admin.display(description="next")
    def next_time(self, window: MaintenanceWindow) -> SafeString | str:
        now = timezone.now()
        found = next((one for one in _coming(window, now) if one[1] > now), None)
        return instant(found[0]) if found else NOTHING

    @admin.display(description="begins", ordering="starts_at")
    def begins(self, window: MaintenanceWindow) -> SafeString | str:
        return instant(window.starts_at)

    @admin.display(description="lasts", ordering="duration")
    def lasts(self, window: MaintenanceWindow) -> str:
        return span(window.duration)

    @admin.display(description="repeats")
    def repeats(self, window: MaintenanceWindow) -> str:
        return window.rrule or "once"

    def page_context(self, request: HttpRequest, row: MaintenanceWindow) -> dict[str, Any]:
        now = timezone.now()
        times = [(_clock(start, row), _clock(end, row)) for start, end in _coming(row, now)[:10]]
        return {"badge": window_badge(row, now), "times": times, "zone": row.timezone}


def window_badge(window: MaintenanceWindow, now: datetime) -> SafeString:
    if not window.enabled:
        return badge("–", "Off", Tone.CALM)
    if any(start <= now < end for start, end in spans(window, now, now)):
        return badge("►", "Open", Tone.WARN)
    return badge("○", "Waits", Tone.CALM) if _coming(window, now) else badge("✓", "Over", Tone.CALM)


def _clock(at: datetime, window: MaintenanceWindow) -> str:
    """What clocks in its zone show then."""
    return f"{wall_clock(at, zone_or_utc(window.timezone)):%a %Y-%m-%d %H:%M}"


def _coming(window: MaintenanceWindow, now: datetime) -> list[Span]:
    """Its times from now on; of one that does not repeat, however far away."""
    if not window.enabled:
        return []
    if not window.rrule:
        end = window.starts_at + window.duration
        return [(window.starts_at, end)] if end > now else []
    return list(spans(window, now, now + LOOK_AHEAD))
