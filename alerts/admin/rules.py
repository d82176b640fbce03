"""Alert rules: what opens an incident, how badly it matters, who is told."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from alerts.admin.cells import link, severity_badge
from alerts.admin.forms import RuleForm
from alerts.kinds import COMMON_PARAMS, SPECS, RuleKind, Setting
from alerts.models import AlertRule, Incident
from alerts.services import RuleChangedError, edit_rule
from hostmaster.core.web.cells import Tone, badge, facts
from hostmaster.core.web.entered import EDIT, REMOVE, EnteredAdmin
from hostmaster.core.web.operated import Button

DISABLE = Button("disable", "Disable")
ENABLE = Button("enable", "Enable")


@admin.register(AlertRule)
class AlertRuleAdmin(EnteredAdmin):
    change_form_template = "admin/alerts/rule.html"
    form_class = RuleForm
    form_template = "admin/alerts/rule_form.html"
    buttons = (EDIT, DISABLE, ENABLE, REMOVE)
    empty_hint = "Nothing is judged yet. Add a rule, such as “down” for every monitor."
    removal_warning = "Its incidents and what was told of them go with it. This cannot be undone."
    list_display = ["name", "kind", "limit", "about", "severity_shown", "state", "tells", "tenant"]
    list_filter = ["kind", "severity", "enabled", "tenant"]
    list_select_related = ["tenant", "monitor", "account"]
    list_per_page = 50
    search_fields = ["name", "monitor__name"]
    search_help_text = "Part of the rule's or the monitor's name."
    readonly_fields = ["limit", "about_link", "severity_shown", "tells", "settings_shown"]
    fields = [
        ("kind", "tenant"),
        ("limit", "severity_shown"),
        ("about_link", "tells"),
        ("settings_shown", "id"),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("channels")

    # Columns

    @admin.display(description="threshold", ordering="threshold")
    def limit(self, rule: AlertRule) -> str:
        spec = SPECS.get(rule.kind)
        if spec is None:
            return "cannot be judged yet"
        value = spec.threshold.default if rule.threshold is None else rule.threshold
        return f"{value:g} {spec.threshold.unit}"

    @admin.display(description="about", ordering="monitor__name")
    def about(self, rule: AlertRule) -> str:
        return str(rule.monitor or rule.account or _everything(rule))

    @admin.display(description="about")
    def about_link(self, rule: AlertRule) -> SafeString | str:
        row = rule.monitor or rule.account
        return link(row) if row is not None else _everything(rule)

    @admin.display(description="severity", ordering="severity")
    def severity_shown(self, rule: AlertRule) -> SafeString | str:
        return severity_badge(rule.severity)

    @admin.display(description="state", ordering="enabled")
    def state(self, rule: AlertRule) -> SafeString:
        return rule_badge(rule)

    @admin.display(description="tells")
    def tells(self, rule: AlertRule) -> SafeString | str:
        channels = list(rule.channels.all())
        if not channels:
            return badge("!", "nobody", Tone.WARN)
        return format_html_join(", ", "{}", ((link(channel),) for channel in channels))

    @admin.display(description="parameters")
    def settings_shown(self, rule: AlertRule) -> SafeString | str:
        return facts(rule.settings.params) if not rule.problems() else "cannot be used"

    # The page of one rule

    def is_offered(self, button: Button, row: AlertRule) -> bool:
        if button == DISABLE:
            return row.enabled
        return button != ENABLE or not row.enabled

    def page_context(self, request: HttpRequest, row: AlertRule) -> dict[str, Any]:
        problems = [sentence for sentences in row.problems().values() for sentence in sentences]
        unresolved = Incident.objects.unresolved().filter(alert_rule=row)
        query = urlencode({"alert_rule__id__exact": str(row.pk)})
        return {
            "badge": rule_badge(row),
            "problems": problems,
            "tells_nobody": not row.channels.all(),
            "has_channels": row.tenant.alert_channels.exists(),
            "open_incidents": unresolved.count(),
            "incidents_url": f"{reverse('admin:alerts_incident_changelist')}?{query}",
        }

    # Verbs

    def operate(
        self, request: HttpRequest, button: Button, rows: QuerySet[Any]
    ) -> HttpResponse | None:
        rule = rows.get()
        is_on = button == ENABLE
        try:
            edit_rule(rule, enabled=is_on)
        except RuleChangedError as error:
            self.message_user(request, str(error), messages.WARNING)
            return None
        word = "is judged from now on" if is_on else "is not judged any more; its incidents end"
        text = format_html("{} {}.", self.links([rule]), word)
        self.message_user(request, text, messages.SUCCESS)
        return None

    def form_context(self) -> dict[str, Any]:
        return {"kinds": kinds_explained()}


def rule_badge(rule: AlertRule) -> SafeString:
    if rule.problems():
        return badge("✗", "Cannot be judged", Tone.BAD)
    return badge("✓", "On", Tone.GOOD) if rule.enabled else badge("–", "Off", Tone.CALM)


def kinds_explained() -> list[tuple[str, str, str]]:
    """Each kind that can be judged: its threshold and what else it may be told."""
    return [
        (
            str(RuleKind(kind).label),
            _explained(spec.threshold),
            "; ".join(
                f"{name}: {_explained(one)}"
                for name, one in {**spec.params, **COMMON_PARAMS}.items()
            ),
        )
        for kind, spec in SPECS.items()
    ]


def _explained(setting: Setting) -> str:
    unit = getattr(setting, "unit", "")
    default = setting.default
    shown = (
        f"{default:g}"
        if isinstance(default, float | int) and not isinstance(default, bool)
        else default
    )
    return f"{shown} {unit}".strip()


def _everything(rule: AlertRule) -> str:
    spec = SPECS.get(rule.kind)
    if spec is None or not (spec.is_about_monitors or spec.is_about_accounts):
        return "the tenant"
    return "every monitor" if spec.is_about_monitors else "every account"
