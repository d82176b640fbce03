"""What is to be alerted on, and how badly it matters."""

from __future__ import annotations

import uuid
from typing import Self

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Now
from django.utils import timezone

from alerts.kinds import SPECS, RuleKind, RuleSettings, problems, settings_of
from hostmaster.core.state import VersionedModel

_EMPTY_OBJECT = Value({}, output_field=models.JSONField())


MONITOR_KINDS = frozenset(kind for kind, spec in SPECS.items() if spec.is_about_monitors)


class Severity(models.TextChoices):
    WARNING = "warning", "Warning"
    CRITICAL = "critical", "Critical"


class AlertRuleQuerySet(models.QuerySet["AlertRule"]):
    """Questions about many rules."""

    def enabled(self) -> Self:
        return self.filter(enabled=True)

    def without_channels(self) -> Self:
        """Their incidents are told to nobody."""
        return self.filter(channels__isnull=True)


class AlertRule(VersionedModel):
    """A condition on facts, for one monitor or account, or for all of a tenant.

    Without a threshold it is the kind's own (`alerts.kinds`). Every column but tenant,
    name and kind has a default in the database.
    """

    Kind = RuleKind
    Severity = Severity

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", models.CASCADE, related_name="alert_rules")
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=30, choices=RuleKind.choices)
    threshold = models.FloatField(
        null=True,
        blank=True,
        help_text="Failures, milliseconds, days, percent, USD or a count; empty: the kind's own.",
    )
    enabled = models.BooleanField(default=True, db_default=True)
    monitor = models.ForeignKey(
        "monitors.Monitor",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="alert_rules",
        help_text="Empty: every monitor of the tenant.",
    )
    account = models.ForeignKey(
        "scans.Account",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="alert_rules",
        help_text="Empty: every account of the tenant.",
    )
    params = models.JSONField(
        default=dict,
        blank=True,
        db_default=_EMPTY_OBJECT,
        help_text='What the kind knows besides, such as {"checks": 3, "repeat_minutes": 60}.',
    )
    channels = models.ManyToManyField(
        "alerts.AlertChannel", blank=True, related_name="rules", db_table="alert_rule_channels"
    )
    severity = models.CharField(
        max_length=10,
        choices=Severity.choices,
        default=Severity.CRITICAL,
        db_default=Severity.CRITICAL.value,
    )
    created_at = models.DateTimeField(default=timezone.now, db_default=Now(), editable=False)
    # Of VersionedModel, here with defaults in the database.
    version = models.PositiveIntegerField(default=1, db_default=1, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, db_default=Now(), editable=False)

    objects = AlertRuleQuerySet.as_manager()

    class Meta:
        db_table = "alert_rules"
        ordering = ["name", "pk"]
        indexes = [
            models.Index(fields=["tenant", "kind"], name="alert_rules_tenant_kind"),
            models.Index(
                fields=["kind", "tenant"], name="alert_rules_kind", condition=Q(enabled=True)
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=RuleKind.values), name="alert_rules_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(severity__in=Severity.values), name="alert_rules_severity_known"
            ),
            models.CheckConstraint(
                condition=Q(threshold__isnull=True) | Q(threshold__gte=0),
                name="alert_rules_threshold",
            ),
            models.CheckConstraint(
                condition=Q(monitor__isnull=True)
                | Q(kind__in=sorted(str(kind) for kind in MONITOR_KINDS)),
                name="alert_rules_monitor_kind",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse what no evaluator can judge, in words for the person who wrote it."""
        wrong = self.problems()
        if wrong:
            raise ValidationError(dict(wrong))

    def problems(self) -> dict[str, list[str]]:
        """Why this rule cannot be judged, a list of sentences for each field."""
        wrong = problems(
            self.kind,
            self.threshold,
            self.params,
            has_monitor=self.monitor_id is not None,
            has_account=self.account_id is not None,
        )
        if self.monitor is not None and self.monitor.tenant_id != self.tenant_id:
            wrong["monitor"] = ["The monitor belongs to another tenant."]
        if self.account is not None and self.account.tenant_id != self.tenant_id:
            wrong["account"] = ["The account belongs to another tenant."]
        return wrong

    @property
    def settings(self) -> RuleSettings:
        """What it is judged by. Only of a rule without problems."""
        return settings_of(self.kind, self.threshold, self.params)
