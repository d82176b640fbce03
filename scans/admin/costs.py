"""What accounts cost, what was unusual, and budgets: the last are the operator's to set."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from hostmaster.core.health.admin import CappedPaginator
from hostmaster.core.web.cells import NOTHING, Tone, badge, instant, usd
from hostmaster.core.web.operated import OperatedAdmin
from scans.admin.cells import account_link, account_name
from scans.models import (
    AnomalySource,
    BreachKind,
    Budget,
    BudgetBreach,
    CostAnomaly,
    CostRecord,
)


class _OfAccount(OperatedAdmin):
    """Rows that only Cost Explorer changes."""

    list_select_related = ["account"]
    list_per_page = 50
    show_full_result_count = False
    paginator = CappedPaginator

    @admin.display(description="account", ordering="account__name")
    def account_shown(self, row: Any) -> SafeString | str:
        return account_name(row.account)

    @admin.display(description="account")
    def of_account(self, row: Any) -> SafeString | str:
        return account_link(row.account)


@admin.register(CostRecord)
class CostRecordAdmin(_OfAccount):
    empty_hint = "No costs yet. Each scan asks Cost Explorer; the account's role must allow it."
    list_display = ["date", "account_shown", "what", "metric", "amount", "is_estimated"]
    list_filter = ["metric", "is_estimated", "tenant"]
    date_hierarchy = "date"
    search_fields = ["service", "region__startswith", "account__name"]
    search_help_text = "A service, the beginning of a region, or an account."
    readonly_fields = ["of_account", "what", "amount", "fetched"]
    fields = [("date", "of_account"), ("what", "metric"), ("amount", "is_estimated"), "fetched"]

    @admin.display(description="service or region")
    def what(self, row: CostRecord) -> str:
        return str(row.service or row.region)

    @admin.display(description="USD", ordering="amount_usd")
    def amount(self, row: CostRecord) -> str:
        return usd(row.amount_usd)

    @admin.display(description="fetched", ordering="fetched_at")
    def fetched(self, row: CostRecord) -> SafeString | str:
        return instant(row.fetched_at)


@admin.register(CostAnomaly)
class CostAnomalyAdmin(_OfAccount):
    empty_hint = "Nothing unusual. A day is judged once three weeks before it are known."
    list_display = ["date", "account_shown", "service", "excess", "source", "standing"]
    list_filter = ["source", ("withdrawn_at", admin.EmptyFieldListFilter), "tenant"]
    date_hierarchy = "date"
    search_fields = ["service", "account__name"]
    search_help_text = "A service or an account."
    readonly_fields = ["of_account", "money", "score_shown", "services", "in_regions", "standing"]
    fields = [
        ("date", "of_account"),
        ("money", "score_shown"),
        "services",
        "in_regions",
        ("source", "standing"),
    ]

    @admin.display(description="USD too much", ordering="excess_usd")
    def excess(self, row: CostAnomaly) -> str:
        return usd(row.excess_usd)

    @admin.display(description="USD")
    def money(self, row: CostAnomaly) -> str:
        return f"{usd(row.actual_usd)} instead of {usd(row.expected_usd)}"

    @admin.display(description="score")
    def score_shown(self, row: CostAnomaly) -> str:
        return "AWS tells none" if row.score is None else f"{row.score} (3.5 is unusual)"

    @admin.display(description="services")
    def services(self, row: CostAnomaly) -> SafeString | str:
        told = [
            (each["service"], each["actual_usd"], each["expected_usd"]) for each in row.contributors
        ]
        return _lines("{}: ${} instead of ${}", told)

    @admin.display(description="regions")
    def in_regions(self, row: CostAnomaly) -> SafeString | str:
        return _lines("{}: ${} too much", [(e["region"], e["excess_usd"]) for e in row.regions])

    @admin.display(description="stands", ordering="withdrawn_at")
    def standing(self, row: CostAnomaly) -> SafeString:
        if row.withdrawn_at is None:
            both = "twice" if row.source == AnomalySource.BOTH else "unusual"
            return badge("!", both.capitalize(), Tone.WARN)
        return format_html("{} {}", badge("–", "Withdrawn", Tone.CALM), instant(row.withdrawn_at))


class BudgetForm(forms.ModelForm[Budget]):
    """Thresholds as people write them: `50, 80, 100`."""

    thresholds = forms.CharField(
        initial="50, 80, 100", help_text="Percent of what was spent, with commas between."
    )

    class Meta:
        model = Budget
        fields = [
            "tenant",
            "name",
            "account",
            "service",
            "limit_usd",
            "thresholds",
            "forecast_threshold",
            "is_enabled",
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.thresholds:
            self.initial["thresholds"] = ", ".join(map(str, self.instance.thresholds))

    def clean_thresholds(self) -> list[int]:
        words = self.cleaned_data["thresholds"].replace("%", "").split(",")
        try:
            found = sorted({int(word) for word in words if word.strip()})
        except ValueError as error:
            raise ValidationError("Whole percents with commas between, such as 50, 80.") from error
        if any(not 1 <= percent <= 1000 for percent in found):
            raise ValidationError("A threshold lies between 1 and 1000 percent.")
        return found

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        fields = cleaned or {}
        account, tenant = fields.get("account"), fields.get("tenant")
        if account is not None and tenant is not None and account.tenant_id != tenant.pk:
            raise ValidationError({"account": "This account belongs to another tenant."})
        return cleaned


@admin.register(Budget)
class BudgetAdmin(admin.ModelAdmin[Budget]):
    form = BudgetForm
    list_display = ["name", "tenant", "of", "limit", "is_enabled"]
    list_filter = ["is_enabled", "tenant"]
    list_select_related = ["tenant", "account"]
    list_per_page = 50
    search_fields = ["name", "account__name", "service"]

    @admin.display(description="of")
    def of(self, budget: Budget) -> str:
        return f"{budget.account or 'all accounts'}, {budget.service or 'all services'}"

    @admin.display(description="USD a month", ordering="limit_usd")
    def limit(self, budget: Budget) -> str:
        return usd(budget.limit_usd)


@admin.register(BudgetBreach)
class BudgetBreachAdmin(OperatedAdmin):
    empty_hint = "No threshold was passed. Add a budget; each refresh of costs judges it."
    list_display = ["budget", "period", "passed", "money", "found", "standing"]
    list_filter = ["kind", ("recovered_at", admin.EmptyFieldListFilter), "tenant"]
    list_select_related = ["budget"]
    list_per_page = 50
    show_full_result_count = False
    paginator = CappedPaginator
    search_fields = ["budget__name"]
    readonly_fields = ["passed", "money", "found", "standing"]
    fields = [("budget", "period"), ("passed", "money"), ("found", "standing")]

    @admin.display(description="passed", ordering="threshold")
    def passed(self, row: BudgetBreach) -> str:
        word = "forecast" if row.kind == BreachKind.FORECAST else "spent"
        return f"{row.threshold} % {word}"

    @admin.display(description="USD")
    def money(self, row: BudgetBreach) -> str:
        return f"{usd(row.value_usd)} of {usd(row.limit_usd)}"

    @admin.display(description="found", ordering="found_at")
    def found(self, row: BudgetBreach) -> SafeString | str:
        return instant(row.found_at)

    @admin.display(description="stands", ordering="recovered_at")
    def standing(self, row: BudgetBreach) -> SafeString:
        if row.recovered_at is None:
            return badge("!", "This month", Tone.WARN)
        return badge("✓", "Recovered", Tone.GOOD)


def _lines(template: str, rows: list[tuple[Any, ...]]) -> SafeString | str:
    if not rows:
        return NOTHING
    return format_html_join(mark_safe("<br>"), template, rows)
