"""Notifications: what is owed to channels, what was sent, and why something was not."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from alerts.admin.cells import attempt_row, link
from alerts.models import Notification
from alerts.outbox import NotReplayableError
from alerts.services import replay
from hostmaster.core.jobs.admin import CANCEL, RETRY, DurableJobAdmin, StateFilter
from hostmaster.core.web.cells import NOTHING, instant
from hostmaster.core.web.operated import Button

REPLAY = Button("replay", "Replay")


@admin.register(Notification)
class NotificationAdmin(DurableJobAdmin):
    change_form_template = "admin/alerts/notification.html"
    buttons = (RETRY, REPLAY, CANCEL)
    empty_hint = "Nobody was told of anything yet: an incident of a rule with channels writes here."
    list_display = [
        "tells",
        "state_badge",
        "channel_shown",
        "attempts_made",
        "next_run",
        "asked",
        "tenant",
    ]
    list_filter = [StateFilter, "event", "channel__type", "tenant"]
    list_select_related = ["tenant", "incident", "channel"]
    search_fields = ["incident__title", "channel__name", "id__startswith"]
    search_help_text = "Words of the incident, a channel's name, or the beginning of an id."
    actions = ["retry_selected", "replay_selected", "cancel_selected"]
    readonly_fields = [
        *DurableJobAdmin.job_fields,
        *("of_incident", "to_channel", "in_digest", "not_after", "message"),
    ]
    fields = [
        ("of_incident", "to_channel"),
        ("event", "seq"),
        ("asked", "not_after"),
        ("attempts_made", "next_run"),
        ("in_digest", "is_replay"),
        ("message", "held_by"),
    ]

    def name_of(self, row: Notification) -> str:
        return f"{row.get_event_display()}: {row.incident}"

    @admin.display(description="tells of", ordering="incident__title")
    def tells(self, row: Notification) -> str:
        return self.name_of(row)

    @admin.display(description="state")
    def state_badge(self, job: Any) -> SafeString:
        shown = super().state_badge(job)
        if not job.suppress_reason:
            return shown
        return format_html('{}<span class="why">{}</span>', shown, job.suppress_reason)

    @admin.display(description="by", ordering="channel__name")
    def channel_shown(self, row: Notification) -> str:
        return str(row.channel)

    @admin.display(description="incident")
    def of_incident(self, row: Notification) -> SafeString | str:
        return link(row.incident)

    @admin.display(description="channel")
    def to_channel(self, row: Notification) -> SafeString | str:
        return link(row.channel)

    @admin.display(description="digest")
    def in_digest(self, row: Notification) -> SafeString | str:
        if row.digest is not None:
            return format_html(
                'told in <a href="{}">a digest</a>', self.address("change", row.digest)
            )
        folded = row.folded.count()
        return f"tells {folded} more" if folded else NOTHING

    @admin.display(description="not sent after")
    def not_after(self, row: Notification) -> SafeString | str:
        return instant(row.deliver_by)

    @admin.display(description="message id")
    def message(self, row: Notification) -> str:
        return row.message_id

    def is_offered(self, button: Button, row: Any) -> bool:
        if button == REPLAY:
            return not row.is_open and not row.is_dead  # of a dead one Retry does the same
        return super().is_offered(button, row)

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        deliveries = row.deliveries.order_by("-started_at", "-pk")[:100]
        return {
            **super().page_context(request, row),
            "tries": [attempt_row(attempt) for attempt in deliveries],
        }

    def press(
        self, request: HttpRequest, button: Button, rows: QuerySet[Any]
    ) -> HttpResponse | None:
        if button != REPLAY:
            return super().press(request, button, rows)
        replayed, open_still = [], []
        for row in rows:
            try:
                replayed.append(replay(row, actor=f"user {request.user.get_username()}"))
            except NotReplayableError:
                open_still.append(row)
        others = {"still to be delivered": open_still} if open_still else {}
        level = messages.SUCCESS if replayed and not open_still else messages.WARNING
        text = self.told(replayed, "to be sent once more", others)
        self.message_user(request, text, level)
        return None

    @admin.action(description="Replay the selected that are over", permissions=["operate"])
    def replay_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self.press(request, REPLAY, queryset)
