"""What a person enters about an account and about findings. Secrets go in and never come back."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from hostmaster.core.tenants.models import Tenant
from scans.models import Account
from scans.services import add_account, edit_account

SECRETS = ("access_key_id", "secret_access_key", "session_token")


class SecretInput(forms.PasswordInput):
    """Never filled in again, neither by us nor by a browser that remembers."""

    def __init__(self) -> None:
        super().__init__(
            attrs={"autocomplete": "new-password", "class": "vTextField"}, render_value=False
        )


def _secret(label: str, help_text: str = "") -> forms.CharField:
    return forms.CharField(label=label, required=False, widget=SecretInput, help_text=help_text)


class EditAccountForm(forms.Form):
    """Its fields are checked by the verb that stores them."""

    name = forms.CharField(max_length=100, widget=forms.TextInput({"class": "vTextField"}))
    role_arn = forms.CharField(
        label="Role ARN",
        required=False,
        widget=forms.TextInput({"class": "vTextField", "spellcheck": "false"}),
        help_text="Better than keys: nothing secret to keep. Such as "
        "arn:aws:iam::123456789012:role/hostmaster.",
    )
    access_key_id = _secret("Access key id")
    secret_access_key = _secret("Secret access key")
    session_token = _secret("Session token", "Only with temporary keys, which expire soon.")
    regions = forms.CharField(
        required=False,
        widget=forms.TextInput({"class": "vTextField", "spellcheck": "false"}),
        help_text="Such as eu-west-1, us-east-1. Empty: every region enabled in the account.",
    )

    def clean_regions(self) -> list[str]:
        return [region for region in re.split(r"[\s,]+", self.cleaned_data["regions"]) if region]

    def groups(self) -> list[tuple[str, str, list[forms.BoundField]]]:
        """Fields as the page shows them: heading, explanation, fields."""
        first = [self[name] for name in ("tenant", "name") if name in self.fields]
        role = "AWS asks for the external ID that the account's page shows once it is added."
        keys = "Sealed at once and never shown again, here or anywhere."
        return [
            ("", "", first),
            ("By a role", role, [self["role_arn"]]),
            ("Or by an access key", keys, [self[name] for name in SECRETS]),
            ("Where", "", [self["regions"]]),
        ]

    def save_to(self, account: Account) -> bool:
        """Store it by the verb; what the verb refuses becomes the fields' errors."""
        entered = self.cleaned_data
        role = entered["role_arn"] if entered["role_arn"] != account.role_arn else None
        try:
            is_saved = edit_account(
                account,
                name=entered["name"],
                regions=entered["regions"],
                role_arn=role or None,
                **{name: entered[name] for name in SECRETS},
            )
        except ValidationError as refused:
            self.refuse(refused)
            return False
        if not is_saved:
            self.add_error(None, "Somebody else changed this account meanwhile: save again.")
        return is_saved

    def refuse(self, refused: ValidationError) -> None:
        """Show each refusal at its field, or above all when this page has none of that name."""
        for name, sentences in refused.message_dict.items():
            for sentence in sentences:
                self.add_error(name if name in self.fields else None, sentence)


class AddAccountForm(EditAccountForm):
    tenant = forms.ModelChoiceField(Tenant.objects.all(), empty_label=None)

    def save(self) -> Account | None:
        """The new account, or `None` and errors on the fields."""
        entered: dict[str, Any] = dict(self.cleaned_data)
        try:
            return add_account(entered.pop("tenant"), **entered)
        except ValidationError as refused:
            self.refuse(refused)
            return None


def _reason() -> forms.CharField:
    return forms.CharField(
        required=False,
        max_length=2000,
        widget=forms.Textarea({"rows": 3, "class": "vLargeTextField"}),
        help_text="Whoever wonders later will read it.",
    )


class DismissForm(forms.Form):
    reason = _reason()


class SnoozeForm(forms.Form):
    days = forms.TypedChoiceField(
        label="For",
        coerce=int,
        choices=[(7, "a week"), (30, "30 days"), (90, "90 days"), (365, "a year")],
        initial=30,
        help_text="The first scan after that which still finds it opens it again.",
    )
    reason = _reason()

    def until(self) -> Any:
        return timezone.now() + timedelta(days=self.cleaned_data["days"])
