"""What was measured, one row a check, kept for 48 hours."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from hostmaster.core.health.admin import CappedPaginator
from hostmaster.core.web.cells import instant, shortened
from hostmaster.core.web.operated import OperatedAdmin
from monitors.admin.cells import milliseconds, monitor_link, result_badge
from monitors.models import MonitorCheck


@admin.register(MonitorCheck)
class MonitorCheckAdmin(OperatedAdmin):
    empty_hint = "No check was made yet. A running manage.py qcluster makes them."
    list_display = ["name_shown", "result", "status_code", "took", "why", "checked"]
    list_filter = ["success"]
    list_select_related = ["monitor"]
    list_per_page = 50
    show_full_result_count = False
    paginator = CappedPaginator
    readonly_fields = ["result", "of_monitor", "checked", "took"]
    fields = [
        ("of_monitor", "checked"),
        ("result", "status_code"),
        ("error_code", "error_message"),
        ("took", "dns_ms", "connect_ms"),
        ("tls_ms", "ttfb_ms", "transfer_ms"),
        ("ssl_valid", "ssl_expires_at"),
        "id",
    ]

    def name_of(self, row: MonitorCheck) -> str:
        return f"check of {row.monitor}"

    @admin.display(description="result", ordering="success")
    def result(self, check: MonitorCheck) -> SafeString:
        return result_badge(check)

    @admin.display(description="monitor")
    def name_shown(self, check: MonitorCheck) -> str:
        return str(check.monitor)

    @admin.display(description="monitor")
    def of_monitor(self, check: MonitorCheck) -> SafeString | str:
        return monitor_link(check.monitor)

    @admin.display(description="took")
    def took(self, check: MonitorCheck) -> str:
        return milliseconds(check.response_time_ms)

    @admin.display(description="why")
    def why(self, check: MonitorCheck) -> SafeString | str:
        return shortened(check.error_message or "")

    @admin.display(description="checked", ordering="checked_at")
    def checked(self, check: MonitorCheck) -> SafeString | str:
        return instant(check.checked_at)
