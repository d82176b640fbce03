"""What a person enters about monitors and maintenance windows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from hostmaster.core.crypto import SealError
from hostmaster.core.tenants.models import Tenant
from hostmaster.core.web.entered import EnteredForm
from monitors.admin import fields as entry
from monitors.models import MaintenanceWindow, Monitor, MonitorKind
from monitors.recurrence import MaintenanceRuleError, zone_of
from monitors.services import (
    add_maintenance,
    add_monitor,
    edit_maintenance,
    edit_monitor,
)
from monitors.validation import METHODS

_SAME = (
    *("name", "url", "enabled", "interval_seconds", "timeout_seconds", "method", "body"),
    *("expected_status", "keyword", "keyword_absent", "assertions", "follow_redirects"),
    *("max_redirects", "verify_tls", "check_certificate", "min_tls_version", "retries"),
    *("retry_interval_seconds", "successes_before_up", "push_grace_seconds", "external_id"),
)


class _NamedForm(EnteredForm):
    """Of what configuration as code may know by an external id."""

    def _refuse_taken(self, model: Any, tenant: Tenant | None, cleaned: dict[str, Any]) -> None:
        external_id = cleaned.get("external_id")
        if tenant is None or not external_id:
            return
        others = model.objects.filter(tenant=tenant, external_id=external_id)
        if others.exclude(pk=self.row.pk if self.row is not None else None).exists():
            self.add_error("external_id", "Another one has this external id.")


class MonitorForm(_NamedForm):
    """A monitor's configuration. Its headers are write-only."""

    only_new = frozenset({"tenant", "kind"})
    refusals = (SealError,)
    layout = (
        ("", "", ("tenant", "name", "kind", "url", "enabled", "tags")),
        (
            "When",
            "Down is said after the re-checks have failed too.",
            (
                *("interval_seconds", "timeout_seconds", "retries", "retry_interval_seconds"),
                *("successes_before_up", "push_grace_seconds"),
            ),
        ),
        (
            "The request",
            "Of HTTP monitors. Headers are sealed at once and never shown again.",
            ("method", "headers", "forget_headers", "body", "follow_redirects", "max_redirects"),
        ),
        (
            "What must come back",
            "Of HTTP monitors.",
            ("expected_status", "keyword", "keyword_absent", "assertions"),
        ),
        ("TLS", "", ("verify_tls", "check_certificate", "min_tls_version")),
        ("In relation to others", "", ("depends_on", "external_id")),
    )

    tenant = forms.ModelChoiceField(Tenant.objects.all(), empty_label=None)
    name = entry.words(is_required=True)
    kind = forms.ChoiceField(choices=MonitorKind.choices)
    url = entry.words("URL", "https://… or tcp://host:port; empty for a push monitor.")
    enabled = entry.flag()
    tags = entry.words(help_text="Such as production, eu.")
    interval_seconds = entry.whole(1, 86_400, 30, help_text="Seconds between two checks.")
    timeout_seconds = forms.FloatField(min_value=0.1, max_value=300, initial=10)
    retries = entry.whole(
        0, 20, 1, help_text="Fast re-checks that must fail too before it is down."
    )
    retry_interval_seconds = entry.whole(1, 3600, 10)
    successes_before_up = entry.whole(1, 20, 1)
    push_grace_seconds = entry.whole(
        0, 86_400, 30, help_text="Of push monitors: how much later than the interval a call may be."
    )
    method = forms.ChoiceField(choices=[(name, name) for name in METHODS])
    headers = forms.CharField(
        required=False,
        widget=entry.SecretTextarea({"rows": 3, "class": "vLargeTextField"}),
        help_text="One a line, such as “Authorization: Bearer …”. Empty: as they are.",
    )
    forget_headers = entry.flag("Forget the headers", is_on=False)
    body = entry.lines()
    follow_redirects = entry.flag()
    max_redirects = entry.whole(0, 20, 5)
    expected_status = forms.CharField(
        max_length=100, initial="200-399", help_text="Codes and ranges, such as “200-299,304”."
    )
    keyword = entry.words()
    keyword_absent = entry.flag(help_text="The keyword must not be there.", is_on=False)
    assertions = forms.JSONField(
        required=False,
        initial=list,
        widget=forms.Textarea({"rows": 3, "class": "vLargeTextField", "spellcheck": "false"}),
        help_text='JSON: [{"source": "json", "target": "$.status", "op": "==", "value": "ok"}].',
    )
    verify_tls = entry.flag("Verify TLS", "A certificate that does not hold fails the check.")
    check_certificate = entry.flag(help_text="Look at the certificates every few minutes.")
    min_tls_version = forms.ChoiceField(
        label="Oldest TLS version",
        choices=[(version, version) for version in ("1.0", "1.1", "1.2", "1.3")],
        initial="1.2",
    )
    depends_on = entry.lines(
        help_text="One a line: name, external id or id. While one of these is down, nobody is told "
        "of this one.",
        rows=2,
    )
    external_id = entry.words("External id", "Its name in configuration as code.")

    def __init__(
        self, data: Any = None, *, row: Monitor | None = None, initial: Any = None
    ) -> None:
        super().__init__(data, row=row, initial=initial)
        if row is None:
            hint = self.fields["headers"].help_text.replace(" Empty: as they are.", "")
            self.fields["headers"].help_text = hint
        if row is None or not row.headers_sealed:
            del self.fields["forget_headers"]

    def present(self, row: Monitor) -> dict[str, Any]:
        return {
            **{name: getattr(row, name) for name in _SAME},
            "tags": ", ".join(row.tags),
            "depends_on": entry.names_of(row.depends_on.all()),
        }

    def clean_tags(self) -> list[str]:
        return entry.split_words(self.cleaned_data["tags"])

    def clean_assertions(self) -> Any:
        return self.cleaned_data["assertions"] or []

    def clean_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for line in self.cleaned_data["headers"].splitlines():
            if not line.strip():
                continue
            name, colon, value = line.partition(":")
            if not colon:
                # Without the line: it is a secret.
                raise ValidationError("Each line is a name, a colon and a value.")
            headers[name.strip()] = value.strip()
        return headers

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        tenant = self.row.tenant if self.row is not None else cleaned.get("tenant")
        self._refuse_taken(Monitor, tenant, cleaned)
        if tenant is not None and "depends_on" in cleaned:
            try:
                cleaned["depends_on"] = entry.named_monitors(tenant, cleaned["depends_on"])
            except ValidationError as error:
                self.add_error("depends_on", error)
        return cleaned

    def store(self, user: Any) -> Monitor:
        entered = self.cleaned_data
        fields = {name: entered[name] for name in (*_SAME, "tags", "depends_on")}
        if entered["headers"] or entered.get("forget_headers"):
            fields["headers"] = entered["headers"]
        if self.row is None:
            return add_monitor(entered["tenant"], kind=entered["kind"], **fields)
        return edit_monitor(self.row, **fields)


class MaintenanceForm(_NamedForm):
    """Times are entered as clocks in the window's zone show them."""

    layout = (
        ("", "", ("tenant", "name", "enabled")),
        (
            "When",
            "",
            ("timezone", "starts_at", "duration_minutes", "rrule"),
        ),
        (
            "For which monitors",
            "Any of these: the monitors named, those that bear one of the tags, or all.",
            ("monitors", "tags", "is_for_all"),
        ),
        ("In relation to others", "", ("external_id",)),
    )

    tenant = forms.ModelChoiceField(Tenant.objects.all(), empty_label=None)
    name = entry.words(is_required=True)
    enabled = entry.flag()
    timezone = forms.CharField(
        label="Time zone",
        initial="UTC",
        max_length=64,
        help_text="Such as Europe/Berlin. A rule repeats the time its clocks show.",
    )
    starts_at = forms.DateTimeField(
        label="Begins",
        widget=forms.DateTimeInput({"class": "vTextField"}, format="%Y-%m-%d %H:%M:%S"),
        help_text="YYYY-MM-DD HH:MM, in that zone.",
    )
    duration_minutes = entry.whole(1, 366 * 24 * 60, 60, "Minutes")
    rrule = entry.words("Repeats", "An RRULE, such as “FREQ=WEEKLY;BYDAY=SU”. Empty: once.")
    monitors = entry.lines(help_text="One a line: name, external id or id.")
    tags = entry.words(help_text="Such as production, eu.")
    is_for_all = entry.flag("All monitors", is_on=False)
    external_id = entry.words("External id", "Its name in configuration as code.")

    def present(self, row: MaintenanceWindow) -> dict[str, Any]:
        names = ("name", "enabled", "timezone", "rrule", "is_for_all", "external_id")
        return {
            **{name: getattr(row, name) for name in names},
            "starts_at": timezone.make_naive(row.starts_at, entry.zone_or_utc(row.timezone)),
            "duration_minutes": int(row.duration.total_seconds() // 60),
            "monitors": entry.names_of(row.monitors.all()),
            "tags": ", ".join(row.tags),
        }

    def clean_tags(self) -> list[str]:
        return entry.split_words(self.cleaned_data["tags"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        tenant = self.row.tenant if self.row is not None else cleaned.get("tenant")
        self._refuse_taken(MaintenanceWindow, tenant, cleaned)
        if tenant is not None and "monitors" in cleaned:
            try:
                cleaned["monitors"] = entry.named_monitors(tenant, cleaned["monitors"])
            except ValidationError as error:
                self.add_error("monitors", error)
        if "starts_at" in cleaned and "timezone" in cleaned:
            try:
                # The admin's own zone is UTC: what came in are the digits that were entered.
                wall = timezone.make_naive(cleaned["starts_at"], ZoneInfo("UTC"))
                cleaned["starts_at"] = wall.replace(tzinfo=zone_of(cleaned["timezone"]))
            except MaintenanceRuleError as error:
                self.add_error("timezone", str(error))
        return cleaned

    def store(self, user: Any) -> MaintenanceWindow:
        entered = self.cleaned_data
        names = (
            *("name", "enabled", "timezone", "starts_at", "rrule", "monitors", "tags"),
            *("is_for_all", "external_id"),
        )
        fields = {name: entered[name] for name in names}
        fields["duration"] = timedelta(minutes=entered["duration_minutes"])
        if self.row is None:
            return add_maintenance(entered["tenant"], **fields)
        return edit_maintenance(self.row, **fields)
