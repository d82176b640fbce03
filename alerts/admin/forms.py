"""What a person enters about rules, channels, silences and incidents. A channel's destination and
secret go in and never come back.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from alerts.channels import ChannelChangedError, ChannelNameTakenError
from alerts.kinds import SPECS, RuleKind
from alerts.models import AlertChannel, AlertRule, ChannelType, Severity, Silence
from alerts.services import (
    RuleChangedError,
    add_channel,
    add_rule,
    edit_channel,
    edit_rule,
    silence,
)
from alerts.transports.base import ConfigError
from alerts.transports.catalogue import channel_hint
from hostmaster.core.crypto import SealError
from hostmaster.core.tenants.models import Tenant
from hostmaster.core.web.entered import EnteredForm
from monitors.admin import fields as entry
from scans.models import Account


class SecretInput(forms.PasswordInput):
    """Never filled in again, neither by us nor by a browser that remembers."""

    def __init__(self) -> None:
        super().__init__(
            attrs={"autocomplete": "new-password", "class": "vTextField"}, render_value=False
        )


def name_tenants(field: Any) -> None:
    """Say whose each choice is where there are several tenants: each has a rule “Dead letters”."""
    if Tenant.objects.count() > 1:
        field.label_from_instance = lambda one: f"{one} ({one.tenant})"


class ChannelForm(EnteredForm):
    """The configuration is write-only; a masked hint tells which it is."""

    only_new = frozenset({"tenant", "type"})
    refusals = (ConfigError, SealError, ChannelNameTakenError, ChannelChangedError)
    layout = (
        ("", "", ("tenant", "name", "type", "enabled", "is_grouped")),
        (
            "Webhook, Discord or Slack",
            "Sealed at once and never shown again, here or anywhere.",
            ("url", "secret"),
        ),
        ("E-mail", "By the mail server of this installation (EMAIL_URL).", ("to",)),
    )

    tenant = forms.ModelChoiceField(Tenant.objects.all(), empty_label=None)
    name = forms.CharField(max_length=100, widget=forms.TextInput({"class": "vTextField"}))
    type = forms.ChoiceField(choices=ChannelType.choices)
    enabled = entry.flag()
    is_grouped = entry.flag(
        "Grouped", "At most 3 messages in any 60 s; what waits beyond is told in one digest."
    )
    url = forms.CharField(label="URL", required=False, max_length=2048, widget=SecretInput)
    secret = forms.CharField(
        required=False,
        max_length=200,
        widget=SecretInput,
        help_text="Of a webhook: what its messages are signed with. Empty: one is made.",
    )
    to = entry.lines("Addresses", "One a line.")

    def __init__(
        self, data: Any = None, *, row: AlertChannel | None = None, initial: Any = None
    ) -> None:
        super().__init__(data, row=row, initial=initial)
        if row is None:
            return
        has_url, is_webhook = row.type != ChannelType.EMAIL, row.type == ChannelType.WEBHOOK
        for name, is_its in (("url", has_url), ("secret", is_webhook), ("to", not has_url)):
            if not is_its:
                del self.fields[name]
            else:
                self.fields[name].help_text = "Empty: as it is."
        first = self.fields["url" if has_url else "to"]
        first.help_text = f"Now: {channel_hint(row)}. Empty: as it is."

    def present(self, row: AlertChannel) -> dict[str, Any]:
        return {name: getattr(row, name) for name in ("name", "enabled", "is_grouped")}

    def store(self, user: Any) -> AlertChannel:
        entered = self.cleaned_data
        fields = {name: entered[name] for name in ("name", "enabled", "is_grouped")}
        if self.row is None:
            kind = entered["type"]
            return add_channel(entered["tenant"], type=kind, config=self._config(kind), **fields)
        given = self._config(self.row.type)
        if given and self.row.type == ChannelType.WEBHOOK and "url" not in given:
            given["url"] = self.row.config.get("url", "")  # a new secret for the same place
        return edit_channel(self.row, config=given or None, **fields)

    def _config(self, kind: str) -> dict[str, Any]:
        entered = self.cleaned_data
        if kind == ChannelType.EMAIL:
            addresses = entry.split_words(entered.get("to", ""))
            return {"to": addresses} if addresses else {}
        names = ("url", "secret") if kind == ChannelType.WEBHOOK else ("url",)
        return {name: entered[name] for name in names if entered.get(name)}


class RuleForm(EnteredForm):
    only_new = frozenset({"tenant", "kind"})
    refusals = (RuleChangedError,)
    layout = (
        ("", "", ("tenant", "name", "kind", "enabled", "severity")),
        (
            "When it opens an incident",
            "What the kind's own threshold is, the list below tells.",
            ("threshold", "params"),
        ),
        ("About what", "", ("monitor", "account")),
        ("Who is told", "", ("channels",)),
    )

    tenant = forms.ModelChoiceField(Tenant.objects.all(), empty_label=None)
    name = entry.words(is_required=True)
    kind = forms.ChoiceField(choices=[(kind, RuleKind(kind).label) for kind in SPECS])
    enabled = entry.flag()
    severity = forms.ChoiceField(choices=Severity.choices, initial=Severity.CRITICAL)
    threshold = forms.FloatField(required=False, help_text="Empty: the kind's own.")
    params = forms.JSONField(
        required=False,
        initial=dict,
        widget=forms.Textarea({"rows": 2, "class": "vLargeTextField", "spellcheck": "false"}),
        help_text='JSON, such as {"repeat_minutes": 60}: says again that it is still open.',
    )
    monitor = entry.words(help_text="Name, external id or id. Empty: every monitor of the tenant.")
    account = forms.ModelChoiceField(
        Account.objects.select_related("tenant"), required=False, empty_label="every account"
    )
    channels = forms.ModelMultipleChoiceField(
        AlertChannel.objects.select_related("tenant"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(
        self, data: Any = None, *, row: AlertRule | None = None, initial: Any = None
    ) -> None:
        super().__init__(data, row=row, initial=initial)
        for name in ("account", "channels"):
            field: Any = self.fields[name]
            if row is not None:
                field.queryset = field.queryset.filter(tenant=row.tenant_id)
            else:
                name_tenants(field)
        if row is not None:
            self.fields["threshold"].help_text = (
                f"{SPECS[row.kind].threshold.unit.capitalize()}. Empty: the kind's own."
                if row.kind in SPECS
                else ""
            )

    def present(self, row: AlertRule) -> dict[str, Any]:
        names = ("name", "enabled", "severity", "threshold", "params", "account")
        return {
            **{name: getattr(row, name) for name in names},
            "monitor": entry.names_of([row.monitor]) if row.monitor is not None else "",
            "channels": list(row.channels.all()),
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        tenant = self.row.tenant if self.row is not None else cleaned.get("tenant")
        if tenant is not None and "monitor" in cleaned:
            try:
                named = entry.named_monitors(tenant, cleaned["monitor"])
                cleaned["monitor"] = named[0] if named else None
            except ValidationError as error:
                self.add_error("monitor", error)
        return cleaned

    def store(self, user: Any) -> AlertRule:
        entered = self.cleaned_data
        names = ("name", "enabled", "severity", "threshold", "monitor", "account", "channels")
        fields = {name: entered[name] for name in names}
        fields["params"] = entered["params"] or {}
        if self.row is None:
            return add_rule(entered["tenant"], kind=entered["kind"], **fields)
        return edit_rule(self.row, **fields)


_LENGTHS = [
    (30, "30 minutes"),
    (60, "an hour"),
    (240, "4 hours"),
    (1440, "a day"),
    (10_080, "a week"),
    (43_200, "30 days"),
]


def _length() -> forms.TypedChoiceField:
    return forms.TypedChoiceField(label="For", coerce=int, choices=_LENGTHS, initial=60)


class SilenceForm(EnteredForm):
    layout = (
        ("", "", ("tenant", "reason", "minutes")),
        (
            "About what",
            "What is named must all match. Nothing named: everything of the tenant.",
            ("monitor", "rule", "tags"),
        ),
    )

    tenant = forms.ModelChoiceField(Tenant.objects.all(), empty_label=None)
    reason = forms.CharField(max_length=500, widget=forms.TextInput({"class": "vTextField"}))
    minutes = _length()
    monitor = entry.words(help_text="Name, external id or id.")
    rule = forms.ModelChoiceField(
        AlertRule.objects.select_related("tenant"), required=False, empty_label="any rule"
    )
    tags = entry.words(help_text="Monitors that bear one of these, such as production, eu.")

    def __init__(self, data: Any = None, *, row: Any = None, initial: Any = None) -> None:
        super().__init__(data, row=row, initial=initial)
        name_tenants(self.fields["rule"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        tenant = cleaned.get("tenant")
        if tenant is not None and "monitor" in cleaned:
            try:
                named = entry.named_monitors(tenant, cleaned["monitor"])
                cleaned["monitor"] = named[0] if named else None
            except ValidationError as error:
                self.add_error("monitor", error)
        return cleaned

    def store(self, user: Any) -> Silence:
        entered = self.cleaned_data
        return silence(
            entered["tenant"],
            reason=entered["reason"],
            until=timezone.now() + timedelta(minutes=entered["minutes"]),
            monitor=entered["monitor"],
            rule=entered["rule"],
            tags=entry.split_words(entered["tags"]),
            user=user,
        )


class NoteForm(forms.Form):
    note = forms.CharField(
        max_length=5000, widget=forms.Textarea({"rows": 3, "class": "vLargeTextField"})
    )


class ResolveForm(forms.Form):
    note = forms.CharField(
        required=False,
        max_length=5000,
        widget=forms.Textarea({"rows": 3, "class": "vLargeTextField"}),
        help_text="Whoever wonders later will read it.",
    )


class SilenceIncidentForm(forms.Form):
    """What to be silent about, as far as the incident has it."""

    scope = forms.ChoiceField(label="About")
    minutes = _length()
    reason = forms.CharField(max_length=500, widget=forms.TextInput({"class": "vTextField"}))

    def __init__(self, data: Any = None, *, scopes: list[tuple[str, str]]) -> None:
        super().__init__(data)
        scope: Any = self.fields["scope"]
        scope.choices = scopes

    def until(self) -> Any:
        return timezone.now() + timedelta(minutes=self.cleaned_data["minutes"])
