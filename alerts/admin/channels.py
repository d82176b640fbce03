"""Alert channels: where people are told. No page shows a destination or a secret."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from alerts.admin.cells import attempt_row, channel_badge
from alerts.admin.forms import ChannelForm
from alerts.channels import ChannelChangedError, TooManyTestsError
from alerts.models import AlertChannel, ChannelType, DeliveryAttempt
from alerts.services import rotate_secret, test_channel
from alerts.transports.base import ConfigError
from alerts.transports.catalogue import channel_hint
from hostmaster.core.crypto import SealError
from hostmaster.core.web.cells import instant, shortened
from hostmaster.core.web.entered import EDIT, REMOVE, EnteredAdmin, EnteredForm
from hostmaster.core.web.operated import Button

TEST = Button("test", "Test")
ROTATE = Button("rotate-secret", "Rotate secret", asks_first=True)
ATTEMPTS_SHOWN = 20


@admin.register(AlertChannel)
class AlertChannelAdmin(EnteredAdmin):
    change_form_template = "admin/alerts/channel.html"
    form_class = ChannelForm
    buttons = (TEST, EDIT, ROTATE, REMOVE)
    empty_hint = (
        "Nobody can be told yet. Add a webhook, Discord, Slack or e-mail; then name it in rules."
    )
    removal_warning = "What it still owes is not sent, and what it sent is forgotten."
    list_display = ["name", "type", "hint", "state", "last_success", "last_trouble", "tenant"]
    list_filter = ["type", "enabled", "tenant"]
    list_select_related = ["tenant"]
    list_per_page = 50
    search_fields = ["name"]
    search_help_text = "Part of a name."
    readonly_fields = ["hint", "grouping", "last_success", "failing", "next_send", "used_by"]
    fields = [
        ("type", "tenant"),
        ("hint", "grouping"),
        ("last_success", "failing"),
        ("next_send", "used_by"),
        "id",
    ]

    # Columns

    @admin.display(description="leads to")
    def hint(self, channel: AlertChannel) -> str:
        return channel_hint(channel)

    @admin.display(description="state", ordering="enabled")
    def state(self, channel: AlertChannel) -> SafeString:
        return channel_badge(channel)

    @admin.display(description="last delivery", ordering="last_success_at")
    def last_success(self, channel: AlertChannel) -> SafeString | str:
        return instant(channel.last_success_at)

    @admin.display(description="last error")
    def last_trouble(self, channel: AlertChannel) -> SafeString | str:
        return shortened(channel.disabled_reason or channel.last_error)

    @admin.display(description="messages")
    def grouping(self, channel: AlertChannel) -> str:
        return "at most 3 a minute, then digests" if channel.is_grouped else "one a notification"

    @admin.display(description="failing since")
    def failing(self, channel: AlertChannel) -> SafeString | str:
        return instant(channel.failing_since)

    @admin.display(description="sends again")
    def next_send(self, channel: AlertChannel) -> SafeString | str:
        return instant(channel.next_send_at) if channel.is_breaker_open else "at once"

    @admin.display(description="named by")
    def used_by(self, channel: AlertChannel) -> str:
        names = [rule.name for rule in channel.rules.order_by("name")[:20]]
        return ", ".join(names) or "no rule yet: Edit a rule and choose it"

    # The page of one channel

    def is_offered(self, button: Button, row: AlertChannel) -> bool:
        return button != ROTATE or row.type == ChannelType.WEBHOOK

    def page_context(self, request: HttpRequest, row: AlertChannel) -> dict[str, Any]:
        attempts = DeliveryAttempt.objects.filter(channel=row).order_by("-started_at", "-pk")
        return {
            "badge": channel_badge(row),
            "attempts": [attempt_row(attempt) for attempt in attempts[:ATTEMPTS_SHOWN]],
            "signs_with_both_until": instant(row.previous_secret_until)
            if row.previous_secret_until
            else "",
        }

    # Verbs

    def operate(
        self, request: HttpRequest, button: Button, rows: QuerySet[Any]
    ) -> HttpResponse | None:
        if button == ROTATE:
            return self._rotate(request, rows.get())
        self._test(request, rows.get())
        return None

    def _test(self, request: HttpRequest, channel: AlertChannel) -> None:
        try:
            result = test_channel(channel)
        except (TooManyTestsError, ConfigError, SealError) as error:
            self.message_user(request, str(error), messages.ERROR)
            return
        status = f", status {result.status}" if result.status else ""
        reply = f" It said: {result.reply[:200]}" if result.reply else ""
        if result.ok:
            text = f"Delivered in {result.milliseconds} ms{status}.{reply}"
            self.message_user(request, text, messages.SUCCESS)
        else:
            text = f"Not delivered after {result.milliseconds} ms{status}: {result.error}{reply}"
            self.message_user(request, text, messages.ERROR)

    def _rotate(self, request: HttpRequest, channel: AlertChannel) -> HttpResponse | None:
        if request.method != "POST":
            return self.confirmation(
                request,
                channel,
                title=f"Rotate the secret of {channel}?",
                sentences=[
                    "Messages are signed with a new secret from then on, and for 24 hours with "
                    "the present one as well: time to tell the receiver."
                ],
                submit="Rotate secret",
                leave="Keep the present one",
            )
        try:
            secret = rotate_secret(channel)
        except (ConfigError, SealError, ChannelChangedError) as error:
            self.message_user(request, str(error), messages.ERROR)
            return None
        return self._secret_page(request, channel, secret)

    def entered(
        self, request: HttpRequest, row: Any, form: EnteredForm, *, is_new: bool
    ) -> HttpResponse | None:
        """A webhook's secret that we made: its receiver has to be told."""
        is_ours = is_new and row.type == ChannelType.WEBHOOK and not form.cleaned_data["secret"]
        return self._secret_page(request, row, row.config["secret"]) if is_ours else None

    def _secret_page(
        self, request: HttpRequest, channel: AlertChannel, secret: str
    ) -> HttpResponse:
        return self.secret_page(
            request,
            channel,
            title=f"Secret of {channel}",
            sentence="The receiver checks signatures with this (Standard Webhooks).",
            secret=secret,
            how="",
        )
