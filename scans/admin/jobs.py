"""Scans: what was asked, how it went, what it saw and could not see."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from hostmaster.core.jobs.admin import DurableJobAdmin, StateFilter
from hostmaster.core.web.cells import NOTHING, instant, shortened, usd_range
from scans.admin.cells import KINDS, account_link, account_name
from scans.admin.coverage import coverage_badge, coverage_of
from scans.admin.rules import rules_of
from scans.models import ScanJob, ScanKind


@admin.register(ScanJob)
class ScanJobAdmin(DurableJobAdmin):
    change_form_template = "admin/scans/scan.html"
    empty_hint = "No scan was asked for yet. Open an account and press “Scan now”."
    list_display = [
        "subject",
        "kind",
        "state_badge",
        "coverage",
        "attempts_made",
        "next_run",
        "asked",
    ]
    list_filter = [StateFilter, "kind", "tenant"]
    list_select_related = ["tenant", "account"]
    search_fields = ["account__name", "account__aws_account_id", "url", "id__startswith"]
    search_help_text = "An account's name or number, a URL, or the beginning of a scan's id."
    readonly_fields = [*DurableJobAdmin.job_fields, "of_account", "credentials", "in_regions"]
    fields = [
        ("of_account", "tenant"),
        ("in_regions", "credentials"),
        ("requested_by", "asked"),
        ("started", "took"),
        ("attempts_made", "next_run"),
        ("id", "held_by"),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("credentials_sealed")

    def name_of(self, row: ScanJob) -> str:
        of = row.account or row.url or "an AWS account"
        return f"{row.get_kind_display()} of {of}"

    # Columns

    @admin.display(description="of", ordering="account__name")
    def subject(self, job: ScanJob) -> SafeString | str:
        if job.account is not None:
            return account_name(job.account)
        return shortened(job.url, 60) if job.url else "an AWS account"

    @admin.display(description="calls answered")
    def coverage(self, job: ScanJob) -> SafeString | str:
        return coverage_badge(job)

    @admin.display(description="of")
    def of_account(self, job: ScanJob) -> SafeString | str:
        return account_link(job.account) if job.account is not None else job.url or NOTHING

    @admin.display(description="regions")
    def in_regions(self, job: ScanJob) -> str:
        return ", ".join(job.regions) or "as the account says"

    @admin.display(description="credentials")
    def credentials(self, job: ScanJob) -> SafeString | str:
        """Where they came from; never what they are."""
        if job.kind == ScanKind.URL:
            return NOTHING
        if job.uses_shell_login:
            return "the login of the shell that asked"
        if not job.has_own_credentials():
            return "the account's"
        return "came with the scan; forgotten when it ends"

    # The page of one scan

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        is_aws = row.kind != ScanKind.URL
        return {
            **super().page_context(request, row),
            "figures": figures_of(row),
            "coverage": coverage_of(row) if is_aws else None,
            "rules": rules_of(row.summary),
            "account": row.account,
            "finished": instant(row.finished_at),
        }


def figures_of(job: ScanJob) -> list[tuple[str, str]]:
    """The summary as (figure, what it counts), in the order people ask."""
    summary: dict[str, Any] = job.summary
    figures = [
        (f"{count:,}", KINDS.get(kind, kind.replace("_", " ")))
        for kind, count in (summary.get("rows") or {}).items()
    ]
    if "regions" in summary:
        figures.append((str(summary["regions"]), "regions"))
    if summary.get("gone"):
        figures.append((f"{summary['gone']:,}", "gone since the last scan"))
    if summary.get("throttled"):
        figures.append((f"{summary['throttled']:,}", "times AWS asked for fewer calls"))
    found = summary.get("recommendations")
    if found:
        low, high = (Decimal(found[f"saving_{end}_usd"]) for end in ("low", "high"))
        figures.append((f"{found['open']:,}", f"open findings, {found['new']:,} new"))
        figures.append((usd_range(low, high), "could be saved a month"))
    return figures
