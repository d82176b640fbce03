"""Incidents: what went wrong, since when, who is at it, who was told and who was not."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from alerts.admin.cells import attempt_row, incident_badge, lasted, link, severity_badge, told
from alerts.admin.forms import NoteForm, ResolveForm, SilenceIncidentForm
from alerts.models import DeliveryAttempt, Incident, IncidentEvent, IncidentStatus, Severity
from alerts.services import IncidentResolvedError, acknowledge, add_note, resolve, silence
from hostmaster.core.health.admin import CappedPaginator
from hostmaster.core.jobs.admin import job_badge
from hostmaster.core.web.asking import AskingAdmin
from hostmaster.core.web.cells import NOTHING, Tone, badge, instant, shortened
from hostmaster.core.web.operated import Button

ACKNOWLEDGE = Button("acknowledge", "Acknowledge")
RESOLVE = Button("resolve", "Resolve", asks_first=True)
NOTE = Button("note", "Add note", asks_first=True)
SILENCE = Button("silence", "Silence", asks_first=True)
LINES_SHOWN = 200
NOTIFICATIONS_SHOWN = 100


class StatusFilter(admin.SimpleListFilter):
    """Each status, and the question people ask: what is not over?"""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("unresolved", "Not resolved"), *IncidentStatus.choices]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case None:
                return queryset
            case "unresolved":
                return queryset.unresolved()
            case status:
                return queryset.filter(status=status)


class SeverityFilter(admin.SimpleListFilter):
    """The column has no choices, and to ask for its values would read every incident."""

    title = "severity"
    parameter_name = "severity"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(Severity.choices)

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(severity=self.value()) if self.value() else queryset


@admin.register(Incident)
class IncidentAdmin(AskingAdmin):
    change_form_template = "admin/alerts/incident.html"
    buttons = (ACKNOWLEDGE, RESOLVE, NOTE, SILENCE)
    empty_hint = "Nothing went wrong yet, or no rule looks: incidents come from alert rules."
    list_display = ["label", "status_badge", "severity_shown", "started", "took", "tells", "tenant"]
    list_filter = [StatusFilter, SeverityFilter, "alert_rule__kind", "tenant"]
    list_select_related = ["tenant", "alert_rule", "monitor"]
    list_per_page = 50
    search_fields = ["title", "monitor__name", "alert_rule__name", "id__startswith"]
    search_help_text = "Words of the title, a monitor's or rule's name, the beginning of an id."
    show_full_result_count = False
    paginator = CappedPaginator
    actions = ["acknowledge_selected", "resolve_selected"]
    readonly_fields = [
        *("of_rule", "of_monitor", "started", "took", "tells", "acknowledged", "ended"),
        "severity_shown",
    ]
    fields = [
        ("of_rule", "of_monitor"),
        ("started", "took"),
        ("severity_shown", "tells"),
        ("acknowledged", "ended"),
        ("subject", "tenant"),
        "id",
    ]

    # Columns

    @admin.display(description="incident", ordering="title")
    def label(self, incident: Incident) -> SafeString:
        seen = shortened(incident.trigger_value or "", 80)
        return format_html('{}<span class="why">{}</span>', incident, seen)

    @admin.display(description="status", ordering="status")
    def status_badge(self, incident: Incident) -> SafeString:
        return incident_badge(incident)

    @admin.display(description="severity", ordering="severity")
    def severity_shown(self, incident: Incident) -> SafeString | str:
        return severity_badge(incident.severity)

    @admin.display(description="began", ordering="started_at")
    def started(self, incident: Incident) -> SafeString | str:
        return instant(incident.started_at)

    @admin.display(description="lasted")
    def took(self, incident: Incident) -> str:
        return lasted(incident)

    @admin.display(description="told", ordering="notified_at")
    def tells(self, incident: Incident) -> SafeString | str:
        return told(incident)

    @admin.display(description="rule")
    def of_rule(self, incident: Incident) -> SafeString | str:
        return link(incident.alert_rule)

    @admin.display(description="monitor")
    def of_monitor(self, incident: Incident) -> SafeString | str:
        return link(incident.monitor)

    @admin.display(description="acknowledged")
    def acknowledged(self, incident: Incident) -> SafeString | str:
        if incident.acknowledged_at is None:
            return NOTHING
        by = incident.acknowledged_by or "somebody"
        return format_html("{} by {}", instant(incident.acknowledged_at), by)

    @admin.display(description="resolved")
    def ended(self, incident: Incident) -> SafeString | str:
        if incident.resolved_at is None:
            return NOTHING
        how = incident.get_resolution_display() or "over"
        by = f" ({incident.resolved_by})" if incident.resolved_by else ""
        return format_html("{}: {}{}", instant(incident.resolved_at), how, by)

    # The page of one incident

    def is_offered(self, button: Button, row: Incident) -> bool:
        if button == ACKNOWLEDGE:
            return row.status == IncidentStatus.OPEN
        return button == NOTE or not row.is_resolved

    def page_context(self, request: HttpRequest, row: Incident) -> dict[str, Any]:
        events = IncidentEvent.objects.filter(incident=row)[:LINES_SHOWN]
        return {
            "badge": incident_badge(row),
            "timeline": [(instant(event.at), event) for event in events],
            "notifications": _notifications_of(row),
            "tells_nobody": not row.alert_rule.channels.exists(),
            "rule_link": link(row.alert_rule),
            "parent": link(row.suppressed_by) if row.suppressed_by is not None else "",
        }

    # Verbs

    def press(
        self, request: HttpRequest, button: Button, rows: QuerySet[Any]
    ) -> HttpResponse | None:
        if button == ACKNOWLEDGE:
            self._end_or_acknowledge(request, rows, is_end=False, note="")
            return None
        incident = rows.get()
        form = _form_of(button, incident, request.POST if "confirmed" in request.POST else None)
        if not form.is_valid():
            return self._ask(request, button, incident, form)
        if button == NOTE:
            add_note(incident, _user(request), form.cleaned_data["note"])
            self.message_user(request, "The note is in the timeline.", messages.SUCCESS)
        elif button == RESOLVE:
            note = form.cleaned_data["note"]
            self._end_or_acknowledge(request, rows, is_end=True, note=note)
        elif isinstance(form, SilenceIncidentForm):
            self._silence(request, incident, form)
        return None

    def _end_or_acknowledge(
        self, request: HttpRequest, rows: QuerySet[Any], *, is_end: bool, note: str
    ) -> None:
        verb, word = (resolve, "resolved") if is_end else (acknowledge, "acknowledged")
        done, over = [], []
        for incident in rows:
            try:
                done.append(verb(incident, _user(request), note))
            except IncidentResolvedError:
                over.append(incident)
        level = messages.SUCCESS if done and not over else messages.WARNING
        others = {"resolved before": over} if over else {}
        self.message_user(request, self.told(done, word, others), level)

    def _ask(
        self, request: HttpRequest, button: Button, incident: Incident, form: forms.Form
    ) -> HttpResponse:
        sentences = {
            RESOLVE: "It opens anew when its condition is seen to hold after that.",
            NOTE: "It is written into the timeline, with your name.",
            SILENCE: "Nobody is told until then; what is open still is told afterwards.",
        }
        return self.confirmation(
            request,
            incident,
            title=f"{button.label}: {incident}",
            sentences=[sentences[button]],
            submit=button.label,
            leave="Leave it",
            form=form,
        )

    def _silence(self, request: HttpRequest, incident: Incident, form: SilenceIncidentForm) -> None:
        scope = form.cleaned_data["scope"]
        made = silence(
            incident.tenant or incident.alert_rule.tenant,
            reason=form.cleaned_data["reason"],
            until=form.until(),
            monitor=incident.monitor if scope in {"monitor", "both"} else None,
            rule=incident.alert_rule if scope in {"rule", "both"} else None,
            user=_user(request),
        )
        text = format_html("Silent until {} UTC: {}.", f"{made.until:%Y-%m-%d %H:%M}", link(made))
        self.message_user(request, text, messages.SUCCESS)

    # Actions

    @admin.action(description="Acknowledge the selected", permissions=["operate"])
    def acknowledge_selected(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        return self.press(request, ACKNOWLEDGE, queryset)

    @admin.action(description="Resolve the selected", permissions=["operate"])
    def resolve_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._end_or_acknowledge(request, queryset, is_end=True, note="")


def incident_row(incident: Incident) -> dict[str, Any]:
    """One line of a list of incidents on another page."""
    return {
        "link": link(incident),
        "badge": incident_badge(incident),
        "started": instant(incident.started_at),
        "lasted": lasted(incident),
        "told": told(incident),
    }


def _notifications_of(incident: Incident) -> list[dict[str, Any]]:
    """What was owed to whom, the latest first, with each try. Two queries."""
    rows = list(
        incident.notifications.select_related("channel").order_by("-created_at", "-seq", "pk")[
            :NOTIFICATIONS_SHOWN
        ]
    )
    tries: dict[Any, list[DeliveryAttempt]] = defaultdict(list)
    for attempt in DeliveryAttempt.objects.filter(notification__in=rows):
        tries[attempt.notification_id].append(attempt)
    return [
        {
            "link": link(row, f"{row.get_event_display()}, by {row.channel}"),
            "badge": job_badge(row),
            "why": row.suppress_reason,
            "in_digest": row.digest_id is not None,
            "replayed": badge("↻", "Replayed", Tone.CALM) if row.is_replay else "",
            "tries": [attempt_row(attempt) for attempt in tries[row.pk]],
        }
        for row in rows
    ]


def _form_of(button: Button, incident: Incident, data: Any) -> forms.Form:
    if button == NOTE:
        return NoteForm(data)
    if button == RESOLVE:
        return ResolveForm(data)
    rule = ("rule", f"the rule “{incident.alert_rule}”, whatever it is about")
    if incident.monitor is None:
        return SilenceIncidentForm(data, scopes=[rule])
    monitor = ("monitor", f"the monitor “{incident.monitor}”, by whatever rule")
    return SilenceIncidentForm(data, scopes=[("both", "this monitor by this rule"), monitor, rule])


def _user(request: HttpRequest) -> Any:
    return request.user
