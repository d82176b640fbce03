"""Monitors: how they are, what they measured, their configuration. No page shows a header."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from hostmaster.core.health.admin import CappedPaginator
from hostmaster.core.web.cells import NOTHING, instant, shortened, span
from hostmaster.core.web.entered import EDIT, REMOVE, EnteredAdmin, EnteredForm
from hostmaster.core.web.operated import Button
from monitors.admin.cells import (
    certificate_badge,
    lasted,
    milliseconds,
    monitor_badge,
    percent,
    result_badge,
    run_of,
)
from monitors.admin.forms import MonitorForm
from monitors.models import Monitor, MonitorCheck, MonitorKind, MonitorRun
from monitors.models.monitors import meets_certificate
from monitors.services import (
    MonitorChangedError,
    check_now,
    latency_percentiles,
    maintenance_of,
    parents_down,
    pause,
    remove_monitor,
    renew_push_token,
    resume,
    uptime,
)

CHECK_NOW = Button("check", "Check now")
PAUSE = Button("pause", "Pause")
RESUME = Button("resume", "Resume")
RENEW = Button("push-token", "Renew push token", asks_first=True)
CHECKS_SHOWN = 20
SPANS = (
    ("24 hours", timedelta(hours=24)),
    ("7 days", timedelta(days=7)),
    ("30 days", timedelta(days=30)),
)


class TagFilter(admin.SimpleListFilter):
    """Offered while one is chosen, by a tag's link: to list them all would read every monitor."""

    title = "tag"
    parameter_name = "tag"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        tag = request.GET.get(self.parameter_name)
        return [(tag, tag)] if tag else []

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        tag = self.value()
        return queryset.tagged(tag) if tag else queryset


class MonitorList(ChangeList):
    """Reads what belongs to a monitor for those of the page alone: joined, PostgreSQL reads the
    runs of all ten thousand before it sorts."""

    def apply_select_related(self, qs: QuerySet[Any]) -> QuerySet[Any]:
        runs = MonitorRun.objects.defer("certificates")
        return qs.prefetch_related("tenant", Prefetch("run", runs))


@admin.register(Monitor)
class MonitorAdmin(EnteredAdmin):
    change_form_template = "admin/monitors/monitor.html"
    form_class = MonitorForm
    buttons: tuple[Button, ...] = (CHECK_NOW, PAUSE, RESUME, EDIT, RENEW, REMOVE)
    empty_hint = "Nothing is watched yet. Add a URL, a port, or what is to call us."
    removal_warning = (
        "All that it measured goes with it; its incidents stay. This cannot be undone."
    )
    list_display = [
        "label",
        "status_badge",
        "last_check",
        "response",
        "certificate",
        "tags_shown",
        "tenant",
    ]
    list_filter = ["status", "kind", TagFilter, "tenant"]
    list_per_page = 50
    search_fields = ["name", "url", "external_id__startswith"]
    search_help_text = "Part of a name or of a URL, or the beginning of an external id."
    show_full_result_count = False
    paginator = CappedPaginator
    actions = ["check_selected", "pause_selected", "resume_selected"]
    readonly_fields = [
        *("watched", "expects", "asserted", "confirmed", "headers_shown", "tls", "tags_shown"),
        *("parents", "every", "added", "next_check"),
    ]
    fields = [
        ("watched", "tenant"),
        ("every", "confirmed"),
        ("expects", "asserted"),
        ("headers_shown", "tls"),
        ("tags_shown", "parents"),
        ("external_id", "next_check"),
        ("id", "added"),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("headers_sealed", "body")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return MonitorList

    # Columns

    @admin.display(description="name", ordering="name")
    def label(self, monitor: Monitor) -> SafeString:
        where = shortened(monitor.url, 60) if monitor.url else "is called"
        return format_html('{} <span class="id">{}</span>', monitor.name, where)

    @admin.display(description="status", ordering="status")
    def status_badge(self, monitor: Monitor) -> SafeString:
        if not monitor.status_reason or monitor.status == Monitor.Status.UP:
            return monitor_badge(monitor)
        why = shortened(monitor.status_reason)
        return format_html('{}<span class="why">{}</span>', monitor_badge(monitor), why)

    @admin.display(description="last check", ordering="run__last_checked_at")
    def last_check(self, monitor: Monitor) -> SafeString | str:
        return instant(run_of(monitor).last_checked_at)

    @admin.display(description="response", ordering="run__last_response_ms")
    def response(self, monitor: Monitor) -> str:
        return milliseconds(run_of(monitor).last_response_ms)

    @admin.display(description="certificate", ordering="run__ssl_expires_at")
    def certificate(self, monitor: Monitor) -> SafeString | str:
        return certificate_badge(run_of(monitor))

    @admin.display(description="tags")
    def tags_shown(self, monitor: Monitor) -> SafeString | str:
        address = reverse(self.page_name("changelist"))
        tags = monitor.tags if isinstance(monitor.tags, list) else []
        links = ((_query(address, str(tag)), tag) for tag in tags)
        return format_html_join(", ", '<a href="{}">{}</a>', links) or NOTHING

    # Facts

    @admin.display(description="watches")
    def watched(self, monitor: Monitor) -> str:
        return monitor.url or "what calls it by its token"

    @admin.display(description="checked")
    def every(self, monitor: Monitor) -> str:
        if monitor.kind == MonitorKind.PUSH:
            return (
                f"is to call each {monitor.interval_seconds} s, "
                f"at most {monitor.push_grace_seconds} s late"
            )
        return f"each {monitor.interval_seconds} s, for at most {monitor.timeout_seconds:g} s"

    @admin.display(description="confirmed by")
    def confirmed(self, monitor: Monitor) -> str:
        times = f"{monitor.retries} re-check{'' if monitor.retries == 1 else 's'}"
        up = f"up: {monitor.successes_before_up} in a row"
        return f"down: {times}, {monitor.retry_interval_seconds} s apart; {up}"

    @admin.display(description="expects")
    def expects(self, monitor: Monitor) -> str:
        if monitor.kind != MonitorKind.HTTP:
            return NOTHING
        is_absent = "no " if monitor.keyword_absent else ""
        keyword = f", {is_absent}“{monitor.keyword}”" if monitor.keyword else ""
        return f"{monitor.method}: {monitor.expected_status}{keyword}"

    @admin.display(description="assertions")
    def asserted(self, monitor: Monitor) -> str:
        return f"{len(monitor.assertions)} on the answer" if monitor.assertions else NOTHING

    @admin.display(description="headers")
    def headers_shown(self, monitor: Monitor) -> str:
        """That there are some; never which value."""
        return "sealed, never shown" if monitor.headers_sealed else "none of its own"

    @admin.display(description="TLS")
    def tls(self, monitor: Monitor) -> str:
        if not meets_certificate(monitor.kind, monitor.url):
            return NOTHING
        verified = "verified" if monitor.verify_tls else "not verified"
        looked = "looked at" if monitor.check_certificate else "not looked at"
        return f"{verified}, {monitor.min_tls_version} or newer; certificates {looked}"

    @admin.display(description="depends on")
    def parents(self, monitor: Monitor) -> SafeString | str:
        return self.links(list(monitor.depends_on.all())) or NOTHING

    @admin.display(description="added")
    def added(self, monitor: Monitor) -> SafeString | str:
        return instant(monitor.created_at)

    @admin.display(description="next check")
    def next_check(self, monitor: Monitor) -> SafeString | str:
        run = run_of(monitor)
        if run.lease_by and run.lease_until and run.lease_until > timezone.now():
            return f"being checked by {run.lease_by}"
        return instant(run.next_check_at)

    # The page of one monitor

    def is_offered(self, button: Button, row: Monitor) -> bool:
        if button == CHECK_NOW:
            return row.enabled and row.kind != MonitorKind.PUSH
        if button == RENEW:
            return row.kind == MonitorKind.PUSH
        return row.enabled if button == PAUSE else not (button == RESUME and row.enabled)

    def page_context(self, request: HttpRequest, row: Monitor) -> dict[str, Any]:
        now = timezone.now()
        run = run_of(row)
        checks = MonitorCheck.objects.filter(monitor=row)[:CHECKS_SHOWN]
        window = maintenance_of(row, now)
        return {
            "badge": monitor_badge(row),
            "since": lasted(row.status_since),
            "is_down": row.status == Monitor.Status.DOWN,
            "figures": _figures(run),
            "spans": [_span_row(row, words, now - length, now) for words, length in SPANS],
            "checks": [(check, result_badge(check), instant(check.checked_at)) for check in checks],
            "checks_url": _query(
                reverse("admin:monitors_monitorcheck_changelist"), str(row.pk), "monitor__id__exact"
            ),
            "certificate": certificate_badge(run),
            "chain": [_certificate_row(one) for one in run.certificates if isinstance(one, dict)],
            "window": window,
            "parents_down": self.links(parents_down(row)),
        }

    # Verbs

    def operate(
        self, request: HttpRequest, button: Button, rows: QuerySet[Any]
    ) -> HttpResponse | None:
        if button == RENEW:
            return self._renew(request, rows.get())
        if button == CHECK_NOW:
            text = "asked to be checked now"
            self._each(request, rows, check_now, text, "paused, called by others, or being checked")
        elif button == PAUSE:
            self._each(request, rows, _paused, "paused", "paused already, or changed meanwhile")
        elif button == RESUME:
            self._each(request, rows, _resumed, "resumed", "not paused, or changed meanwhile")
        return None

    def _each(
        self,
        request: HttpRequest,
        rows: QuerySet[Any],
        verb: Callable[[Monitor], bool],
        word: str,
        why_not: str,
    ) -> None:
        done: list[Monitor] = []
        left: list[Monitor] = []
        for monitor in rows.defer(None):
            (done if verb(monitor) else left).append(monitor)
        level = messages.SUCCESS if done and not left else messages.WARNING
        self.message_user(request, self.told(done, word, {why_not: left} if left else {}), level)

    def _renew(self, request: HttpRequest, monitor: Monitor) -> HttpResponse:
        if request.method != "POST":
            return self.confirmation(
                request,
                monitor,
                title=f"Renew the push token of {monitor}?",
                sentences=["Calls by the present token are refused from then on."],
                submit="Renew push token",
                leave="Keep the present one",
            )
        return self._token_page(request, monitor, renew_push_token(monitor))

    def entered(
        self, request: HttpRequest, row: Any, form: EnteredForm, *, is_new: bool
    ) -> HttpResponse | None:
        return self._token_page(request, row, row.push_token) if row.push_token else None

    def _token_page(self, request: HttpRequest, monitor: Monitor, token: str) -> HttpResponse:
        called = request.build_absolute_uri(reverse("heartbeat", args=[token]))
        return self.secret_page(
            request,
            monitor,
            title=f"Push token of {monitor}",
            sentence="Copy the token now: only its hash is kept.",
            secret=token,
            how=f"curl -fsS -X POST {called}",
        )

    def remove(self, row: Monitor) -> None:
        remove_monitor(row)

    # Actions

    @admin.action(description="Check the selected now", permissions=["operate"])
    def check_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self.press(request, CHECK_NOW, queryset)

    @admin.action(description="Pause the selected", permissions=["operate"])
    def pause_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self.press(request, PAUSE, queryset)

    @admin.action(description="Resume the selected", permissions=["operate"])
    def resume_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self.press(request, RESUME, queryset)


def _paused(monitor: Monitor) -> bool:
    try:
        return monitor.enabled and not pause(monitor).enabled
    except MonitorChangedError:
        return False


def _resumed(monitor: Monitor) -> bool:
    try:
        return not monitor.enabled and resume(monitor).enabled
    except MonitorChangedError:
        return False


def _figures(run: MonitorRun) -> list[tuple[Any, str]]:
    """What the last check showed, in the order people ask."""
    status = NOTHING if run.last_status_code is None else str(run.last_status_code)
    return [
        (milliseconds(run.last_response_ms), "response"),
        (status, "status code"),
        (instant(run.last_checked_at), "last check"),
        (str(run.failures), "failures in a row"),
        (certificate_badge(run), "certificate"),
    ]


def _span_row(monitor: Monitor, words: str, since: datetime, until: datetime) -> dict[str, Any]:
    up, took = uptime(monitor, since, until), latency_percentiles(monitor, since, until)
    return {
        "words": words,
        "uptime": percent(up.ratio),
        "down": _minutes(up.down_seconds),
        "unknown": _minutes(up.unknown_seconds),
        "maintenance": _minutes(up.maintenance_seconds),
        "p50": milliseconds(took.p50_ms),
        "p95": milliseconds(took.p95_ms),
        "timed": f"{took.timed:,}",
    }


def _minutes(seconds: float) -> str:
    return span(timedelta(seconds=seconds)) if seconds >= 1 else "0"


def _certificate_row(certificate: dict[str, Any]) -> dict[str, Any]:
    return {
        **certificate,
        "not_after": instant(parse_datetime(str(certificate.get("not_after", "")))),
        "names": ", ".join(map(str, certificate.get("sans") or [])) or NOTHING,
    }


def _query(address: str, value: str, name: str = "tag") -> str:
    return f"{address}?{urlencode({name: value})}"
