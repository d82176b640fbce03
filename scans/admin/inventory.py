"""What accounts hold: lists to read, the most expensive and the newest a click away."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from hostmaster.core.health.admin import CappedPaginator
from hostmaster.core.web.cells import Tone, badge, facts, instant, usd
from hostmaster.core.web.operated import OperatedAdmin
from scans.admin.cells import account_link, account_name
from scans.models import Instance, InventoryItem, MetricSummary, Resource


class PresenceFilter(admin.SimpleListFilter):
    title = "presence"
    parameter_name = "gone"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", "There now"), ("yes", "Gone")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() is None:
            return queryset
        return queryset.filter(gone_at__isnull=self.value() == "no")


class InventoryAdmin(OperatedAdmin):
    """Nothing to press: AWS alone changes what is here."""

    empty_hint = "Nothing is known yet. Connect an account; its first discovery fills this list."
    list_filter = [PresenceFilter, "tenant"]
    list_select_related = ["account"]
    list_per_page = 50
    ordering = ["-pk"]
    search_fields = ["name", "resource_id__startswith", "region__startswith", "account__name"]
    search_help_text = "A name, the beginning of an id or of a region, or an account."
    show_full_result_count = False
    paginator = CappedPaginator
    computed = (
        "of_account",
        "state_shown",
        "monthly_usd",
        "first_seen",
        "last_seen",
        "gone",
        "usage",
        "tag_table",
        "spec_table",
    )
    readonly_fields = computed

    @admin.display(description="name", ordering="name")
    def label(self, item: InventoryItem) -> SafeString:
        return format_html('{} <span class="id">{}</span>', item.name or "–", item.resource_id)

    @admin.display(description="account", ordering="account__name")
    def account_shown(self, item: InventoryItem) -> SafeString | str:
        return account_name(item.account)

    @admin.display(description="account")
    def of_account(self, item: InventoryItem) -> SafeString | str:
        return account_link(item.account)

    @admin.display(description="state", ordering="state")
    def state_shown(self, item: InventoryItem) -> SafeString | str:
        return badge("–", "gone", Tone.CALM) if item.is_gone else item.state or "–"

    @admin.display(description="USD a month", ordering="monthly_cost_usd")
    def monthly_usd(self, item: InventoryItem) -> str:
        return usd(item.monthly_cost_usd, if_unknown="unknown")

    @admin.display(description="first seen", ordering="first_seen_at")
    def first_seen(self, item: InventoryItem) -> SafeString | str:
        return instant(item.first_seen_at)

    @admin.display(description="last seen", ordering="last_seen_at")
    def last_seen(self, item: InventoryItem) -> SafeString | str:
        return instant(item.last_seen_at)

    @admin.display(description="gone", ordering="gone_at")
    def gone(self, item: InventoryItem) -> SafeString | str:
        return instant(item.gone_at)

    @admin.display(description="usage")
    def usage(self, item: InventoryItem) -> SafeString | str:
        """What CloudWatch said lately; nothing where it was not asked or has nothing."""
        summaries = MetricSummary.objects.recent(timezone.now()).filter(
            account=item.account_id, region=item.region, resource_id=item.resource_id
        )
        return facts({summary.metric: _in_words(summary) for summary in summaries})

    @admin.display(description="tags")
    def tag_table(self, item: InventoryItem) -> SafeString | str:
        return facts(item.tags, as_words=False)

    @admin.display(description="details")
    def spec_table(self, item: InventoryItem) -> SafeString | str:
        return facts(item.spec)


@admin.register(Instance)
class InstanceAdmin(InventoryAdmin):
    list_display = [
        "label",
        "account_shown",
        "region",
        "instance_type",
        "state_shown",
        "monthly_usd",
        "last_seen",
    ]
    fields = [
        ("resource_id", "of_account"),
        ("region", "availability_zone"),
        ("instance_type", "lifecycle"),
        ("state_shown", "monthly_usd"),
        ("platform", "launched_at"),
        ("first_seen", "last_seen"),
        "usage",
        "tag_table",
        "spec_table",
    ]


@admin.register(Resource)
class ResourceAdmin(InventoryAdmin):
    list_filter = ["kind", PresenceFilter, "tenant"]
    list_display = [
        "label",
        "kind",
        "account_shown",
        "region",
        "state_shown",
        "monthly_usd",
        "last_seen",
    ]
    fields = [
        ("resource_id", "of_account"),
        ("kind", "region"),
        ("state_shown", "monthly_usd"),
        ("first_seen", "last_seen"),
        "usage",
        "tag_table",
        "spec_table",
    ]


def _in_words(summary: MetricSummary) -> str:
    """`12.5 on average, 95 % below 40, 336 of 336 values in 14 days`"""
    if summary.average is None:
        return f"no values in {summary.window_days} days"
    return (
        f"{summary.average:,g} on average, 95 % below {summary.p95:,g}, "
        f"{summary.datapoints:,} of {summary.expected:,} values in {summary.window_days} days"
    )
