"""Silences: until when people do not want to be told, and of what."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from alerts.admin.cells import link
from alerts.admin.forms import SilenceForm
from alerts.models import Silence
from alerts.services import end_silence
from hostmaster.core.web.cells import NOTHING, Tone, badge, instant
from hostmaster.core.web.entered import EnteredAdmin
from hostmaster.core.web.operated import Button

END = Button("end", "End")


class ActiveFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "active"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Active now")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.active(timezone.now()) if self.value() == "yes" else queryset


@admin.register(Silence)
class SilenceAdmin(EnteredAdmin):
    change_form_template = "admin/alerts/silence.html"
    form_class = SilenceForm
    buttons = (END,)
    empty_hint = "Nothing is silenced: people are told of every incident."
    list_display = ["reason", "state", "about", "starts", "ends", "created_by", "tenant"]
    list_filter = [ActiveFilter, "tenant"]
    list_select_related = ["tenant", "monitor", "rule", "created_by"]
    list_per_page = 50
    search_fields = ["reason", "monitor__name", "rule__name"]
    search_help_text = "Words of the reason, of the monitor's or of the rule's name."
    readonly_fields = ["about", "starts", "ends"]
    fields = [("about", "tenant"), ("starts", "ends"), ("created_by", "id")]

    @admin.display(description="state")
    def state(self, silence: Silence) -> SafeString:
        return silence_badge(silence)

    @admin.display(description="about")
    def about(self, silence: Silence) -> SafeString | str:
        parts: list[Any] = [link(row) for row in (silence.monitor, silence.rule) if row is not None]
        if silence.tags:
            parts.append(f"monitors tagged {', '.join(map(str, silence.tags))}")
        return format_html_join(" and ", "{}", ((part,) for part in parts)) or "everything"

    @admin.display(description="begins", ordering="starts_at")
    def starts(self, silence: Silence) -> SafeString | str:
        return instant(silence.starts_at)

    @admin.display(description="ends", ordering="until")
    def ends(self, silence: Silence) -> SafeString | str:
        return instant(silence.ended_at or silence.until) or NOTHING

    def is_offered(self, button: Button, row: Silence) -> bool:
        return row.ended_at is None and row.until > timezone.now()

    def page_context(self, request: HttpRequest, row: Silence) -> dict[str, Any]:
        return {"badge": silence_badge(row), "told_again": self.is_offered(END, row)}

    def operate(
        self, request: HttpRequest, button: Button, rows: QuerySet[Any]
    ) -> HttpResponse | None:
        ended = rows.get()
        if end_silence(ended):
            text = format_html("{} is over: what still is open is told.", self.links([ended]))
            self.message_user(request, text, messages.SUCCESS)
        else:
            self.message_user(request, "It was over already.", messages.WARNING)
        return None


def silence_badge(silence: Silence) -> SafeString:
    now = timezone.now()
    if silence.is_active(now):
        return badge("►", "Active", Tone.WARN)
    is_to_come = silence.starts_at > now and silence.ended_at is None
    return badge("○", "To come", Tone.CALM) if is_to_come else badge("✓", "Over", Tone.CALM)
