"""What could be saved, why we think so, and what people decide about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from hostmaster.core.health.admin import CappedPaginator
from hostmaster.core.state import InvalidTransitionError
from hostmaster.core.web.cells import NOTHING, Tone, badge, facts, instant, usd, usd_range
from hostmaster.core.web.operated import Button, OperatedAdmin
from scans.admin.cells import account_link, account_name
from scans.admin.forms import DismissForm, SnoozeForm
from scans.aws import findings
from scans.models import Recommendation, RecommendationStatus

DISMISS = Button("dismiss", "Dismiss", asks_first=True)
SNOOZE = Button("snooze", "Snooze", asks_first=True)
REOPEN = Button("reopen", "Reopen")

_STATUS = {
    RecommendationStatus.OPEN: ("●", Tone.BUSY),
    RecommendationStatus.DISMISSED: ("–", Tone.CALM),
    RecommendationStatus.SNOOZED: ("◔", Tone.CALM),
    RecommendationStatus.RESOLVED: ("✓", Tone.GOOD),
}
_LEADS_TO = {
    DISMISS: RecommendationStatus.DISMISSED,
    SNOOZE: RecommendationStatus.SNOOZED,
    REOPEN: RecommendationStatus.OPEN,
}


@admin.register(Recommendation)
class RecommendationAdmin(OperatedAdmin):
    change_form_template = "admin/scans/recommendation.html"
    buttons = (DISMISS, SNOOZE, REOPEN)
    empty_hint = "Nothing to save is known yet. Scan an account; what its rules find comes here."
    list_display = [
        "__str__",
        "account_shown",
        "region",
        "saving_usd",
        "status_badge",
        "confidence",
    ]
    list_filter = ["status", "rule", "confidence", "effort", "tenant"]
    list_select_related = ["account"]
    list_per_page = 50
    search_fields = ["title", "resource_id__startswith", "account__name", "region__startswith"]
    search_help_text = "Words of the title, the beginning of an id or region, or an account."
    show_full_result_count = False
    paginator = CappedPaginator
    actions = ["dismiss_selected", "snooze_selected", "reopen_selected"]
    readonly_fields = [
        "of_account",
        "saving_usd",
        "status_badge",
        "first_seen",
        "last_seen",
        "decided",
    ]
    fields = [
        ("of_account", "region"),
        ("resource_id", "rule"),
        ("saving_usd", "confidence", "effort"),
        ("first_seen", "last_seen"),
        "decided",
    ]

    # Columns

    @admin.display(description="account", ordering="account__name")
    def account_shown(self, found: Recommendation) -> SafeString | str:
        return account_name(found.account)

    @admin.display(description="account")
    def of_account(self, found: Recommendation) -> SafeString | str:
        return account_link(found.account)

    @admin.display(description="saves a month", ordering="saving_high_usd")
    def saving_usd(self, found: Recommendation) -> str:
        if found.is_upper_bound:
            return f"up to {usd(found.saving_high_usd)}"
        return usd_range(found.saving_low_usd, found.saving_high_usd)

    @admin.display(description="status", ordering="status")
    def status_badge(self, found: Recommendation) -> SafeString:
        mark, tone = _STATUS[RecommendationStatus(found.status)]
        return badge(mark, found.get_status_display(), tone)

    @admin.display(description="first found", ordering="first_seen_at")
    def first_seen(self, found: Recommendation) -> SafeString | str:
        return instant(found.first_seen_at)

    @admin.display(description="last found", ordering="last_seen_at")
    def last_seen(self, found: Recommendation) -> SafeString | str:
        return instant(found.last_seen_at)

    @admin.display(description="decision")
    def decided(self, found: Recommendation) -> SafeString | str:
        word = {
            RecommendationStatus.SNOOZED: "Snoozed",
            RecommendationStatus.DISMISSED: "Dismissed",
        }.get(RecommendationStatus(found.status))
        if word is None:
            return NOTHING
        when, by = instant(found.dismissed_at), found.dismissed_by or "somebody"
        why = found.dismissed_reason or "no reason given"
        decision = format_html("{} {} by {}: {}", word, when, by, why)
        if found.snoozed_until is None:
            return decision
        return format_html("{}. May come back {}", decision, instant(found.snoozed_until))

    # The page of one finding

    def is_offered(self, button: Button, row: Recommendation) -> bool:
        is_over = row.status == RecommendationStatus.RESOLVED
        return not is_over and row.may_advance(_LEADS_TO[button])

    def page_context(self, request: HttpRequest, row: Recommendation) -> dict[str, Any]:
        return {
            "badge": self.status_badge(row),
            "saving": self.saving_usd(row),
            "evidence": facts(row.evidence),
        }

    # Decisions

    def press(
        self, request: HttpRequest, button: Button, rows: QuerySet[Any]
    ) -> HttpResponse | None:
        by = f"user {request.user.get_username()}"
        if button == REOPEN:
            self._decide(request, rows, "reopened", lambda row: findings.reopen(row, by=by))
            return None
        is_answer = "confirmed" in request.POST
        kind = DismissForm if button == DISMISS else SnoozeForm
        form = kind(request.POST if is_answer else None)
        if not (is_answer and form.is_valid()):
            return self._ask(request, button, rows, form)
        if isinstance(form, SnoozeForm):
            until, reason = form.until(), form.cleaned_data["reason"]
            self._decide(
                request,
                rows,
                "snoozed",
                lambda row: findings.snooze(row, until=until, by=by, reason=reason),
            )
        else:
            reason = form.cleaned_data["reason"]
            self._decide(
                request, rows, "dismissed", lambda row: findings.dismiss(row, by=by, reason=reason)
            )
        return None

    def _decide(
        self,
        request: HttpRequest,
        rows: QuerySet[Any],
        word: str,
        decide: Callable[[Recommendation], bool],
    ) -> None:
        changed: list[Recommendation] = []
        left: list[Recommendation] = []
        for row in rows:
            try:
                (changed if decide(row) else left).append(row)
            except InvalidTransitionError:
                left.append(row)
        others = {"stayed as before": left} if left else {}
        level = messages.SUCCESS if changed and not left else messages.WARNING
        self.message_user(request, self.told(changed, word, others), level)

    def _ask(
        self, request: HttpRequest, button: Button, rows: QuerySet[Any], form: forms.Form
    ) -> HttpResponse:
        found = [row for row in rows if self.is_offered(button, row)]
        context = {
            **self.admin_site.each_context(request),
            "title": f"{button.label} {len(found)} {self.noun(len(found))}?",
            "opts": self.opts,
            "button": button,
            "rows": [(row, self.saving_usd(row), self.address("change", row)) for row in found],
            "form": form,
            "action": request.POST.get("action", ""),
            "list_url": reverse(self.page_name("changelist")),
        }
        return TemplateResponse(request, "admin/scans/decide.html", context)

    @admin.action(description="Dismiss the selected…", permissions=["operate"])
    def dismiss_selected(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        return self.press(request, DISMISS, queryset)

    @admin.action(description="Snooze the selected…", permissions=["operate"])
    def snooze_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self.press(request, SNOOZE, queryset)

    @admin.action(description="Reopen the selected", permissions=["operate"])
    def reopen_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self.press(request, REOPEN, queryset)
