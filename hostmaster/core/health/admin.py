"""What an operator reads about the system; nothing here is written by hand."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat

from hostmaster.core.health.models import ComponentState, Heartbeat, SystemLog

if TYPE_CHECKING:
    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator

COUNTED = 10_000


class CappedPaginator(_Paginator):
    """Counts at most 10,001 rows: counting a huge table takes longer than showing its page."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        if isinstance(rows, QuerySet):
            return int(rows.order_by().values("pk")[: COUNTED + 1].count())
        return len(rows)


class ReadOnlyAdmin(admin.ModelAdmin[Any]):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(SystemLog)
class SystemLogAdmin(ReadOnlyAdmin):
    list_display = ["timestamp", "level", "component", "message"]
    list_filter = ["level", "component"]
    search_fields = ["component", "message"]
    search_help_text = "Words of the message, or a component."
    show_full_result_count = False
    paginator = CappedPaginator


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    list_display = ["name", "kind", "lane", "beat_at", "memory", "cpu_seconds", "jobs_done"]
    list_filter = ["kind", "lane"]
    search_fields = ["name"]

    @admin.display(ordering="rss_bytes")
    def memory(self, heartbeat: Heartbeat) -> str:
        return filesizeformat(heartbeat.rss_bytes)


@admin.register(ComponentState)
class ComponentStateAdmin(ReadOnlyAdmin):
    list_display = ["component", "status", "since", "message", "checked_at"]
    list_filter = ["status"]
    search_fields = ["component"]
