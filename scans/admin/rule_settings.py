"""Thresholds of the saving rules, by tenant and by account."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from hostmaster.core.web.cells import NOTHING, Tone, badge, instant
from scans.aws.rule_settings import validate
from scans.aws.rules.all import ALL_RULES, RULES_BY_ID
from scans.models import RuleSetting


class RuleSettingForm(forms.ModelForm[RuleSetting]):
    """What no rule reads is refused here as it is by the API."""

    rule = forms.ChoiceField(choices=[(rule.id, f"{rule.title} ({rule.id})") for rule in ALL_RULES])

    class Meta:
        model = RuleSetting
        fields = ["tenant", "account", "rule", "enabled", "params"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        account, tenant = cleaned.get("account"), cleaned.get("tenant")
        if account is not None and tenant is not None and account.tenant_id != tenant.pk:
            self.add_error("account", "This account belongs to another tenant.")
        if "rule" in cleaned and "params" in cleaned:
            try:
                validate(cleaned["rule"], cleaned["params"] or {})
            except ValidationError as error:
                self.add_error(None, error)
        return cleaned


@admin.register(RuleSetting)
class RuleSettingAdmin(admin.ModelAdmin[RuleSetting]):
    form = RuleSettingForm
    list_display = ["rule", "account_shown", "state", "params", "tenant", "updated"]
    list_filter = ["rule", "enabled", "tenant"]
    list_select_related = ["account", "tenant"]
    list_per_page = 50
    search_fields = ["rule", "account__name"]
    search_help_text = "A rule, or an account."
    autocomplete_fields = ["account"]
    readonly_fields = ["defaults"]
    fields = [("tenant", "account"), ("rule", "enabled"), "params", "defaults"]

    @admin.display(description="account", ordering="account__name")
    def account_shown(self, setting: RuleSetting) -> str:
        return setting.account.name if setting.account else "all accounts"

    @admin.display(description="state", ordering="enabled")
    def state(self, setting: RuleSetting) -> SafeString:
        return badge("●", "On", Tone.GOOD) if setting.enabled else badge("–", "Off", Tone.CALM)

    @admin.display(description="changed", ordering="updated_at")
    def updated(self, setting: RuleSetting) -> SafeString | str:
        return instant(setting.updated_at)

    @admin.display(description="the rule's own parameters")
    def defaults(self, setting: RuleSetting) -> SafeString | str:
        """Of the chosen rule; of all of them while none is chosen."""
        rules = [RULES_BY_ID[setting.rule]] if setting.rule in RULES_BY_ID else list(ALL_RULES)
        if not rules:
            return NOTHING
        named = ((r.id, ", ".join(f"{k}: {v}" for k, v in r.defaults.items())) for r in rules)
        lines = format_html_join("", "<dt>{}</dt><dd>{}</dd>", named)
        return format_html("<dl>{}</dl>", lines)

    def save_model(
        self, request: HttpRequest, obj: RuleSetting, form: forms.ModelForm[Any], change: bool
    ) -> None:
        obj.params = obj.params or {}
        super().save_model(request, obj, form, change)
