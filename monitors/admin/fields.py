"""Fields of forms that more than one page has. Secrets go in and never come back."""

from __future__ import annotations

import re
import uuid
from contextlib import suppress
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError

from hostmaster.core.tenants.models import Tenant
from monitors.models import Monitor
from monitors.recurrence import MaintenanceRuleError, zone_of

_WORDS = {"class": "vTextField", "spellcheck": "false"}
MOST_NAMED = 200


class SecretTextarea(forms.Textarea):
    """Never filled in again, not even after a mistake."""

    def format_value(self, value: Any) -> str:
        return ""


def words(label: str = "", help_text: str = "", *, is_required: bool = False) -> forms.CharField:
    return forms.CharField(
        label=label or None,
        required=is_required,
        max_length=2048,
        help_text=help_text,
        widget=forms.TextInput(_WORDS),
    )


def flag(label: str = "", help_text: str = "", *, is_on: bool = True) -> forms.BooleanField:
    return forms.BooleanField(
        label=label or None, required=False, help_text=help_text, initial=is_on
    )


def whole(low: int, high: int, initial: int, label: str = "", help_text: str = "") -> Any:
    return forms.IntegerField(
        label=label or None,
        min_value=low,
        max_value=high,
        initial=initial,
        help_text=help_text,
    )


def lines(label: str = "", help_text: str = "", *, rows: int = 3) -> forms.CharField:
    return forms.CharField(
        label=label or None,
        required=False,
        help_text=help_text,
        strip=False,
        widget=forms.Textarea({"rows": rows, "class": "vLargeTextField", "spellcheck": "false"}),
    )


def zone_or_utc(name: str) -> ZoneInfo:
    """The zone; UTC for a name that is none, which only plain SQL can write."""
    try:
        return zone_of(name)
    except MaintenanceRuleError:
        return ZoneInfo("UTC")


def split_words(text: str) -> list[str]:
    """`prod, eu` → both, each once."""
    return list(dict.fromkeys(word.strip() for word in re.split(r"[,\n]+", text) if word.strip()))


def named_monitors(tenant: Tenant, text: str) -> list[Monitor]:
    """The tenant's monitors that `text` names, one a line: by name, external id or id. A list to
    choose from would hold ten thousand.

    Raises `ValidationError` with what is meant by nobody, or by several.
    """
    wanted = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    if len(wanted) > MOST_NAMED:
        raise ValidationError(f"At most {MOST_NAMED} monitors.")
    return [_named_monitor(tenant, word) for word in wanted]


def names_of(monitors: Any) -> str:
    """What `named_monitors` reads: names, ids where a name is not enough."""
    rows = list(monitors)
    tenants = {row.tenant_id for row in rows}
    taken = Monitor.objects.filter(tenant__in=tenants, name__in=[row.name for row in rows])
    names = list(taken.values_list("name", flat=True))
    return "\n".join(row.name if names.count(row.name) == 1 else str(row.pk) for row in rows)


def _named_monitor(tenant: Tenant, word: str) -> Monitor:
    own = Monitor.objects.filter(tenant=tenant)
    questions: list[dict[str, Any]] = [{"external_id": word}, {"name": word}]
    with suppress(ValueError):
        questions.insert(0, {"pk": uuid.UUID(word)})
    for question in questions:
        found = list(own.filter(**question)[:2])
        if len(found) == 1:
            return found[0]
        if found:
            raise ValidationError(f"Several monitors are named “{word}”: give the id.")
    raise ValidationError(f"There is no monitor “{word}”.")
