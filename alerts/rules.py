"""The verbs on rules: what a person may ask for is what an evaluator can judge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from alerts.kinds import SPECS
from alerts.models import AlertChannel, AlertRule, RuleKind, Severity
from hostmaster.core.jobs import doorbells
from hostmaster.core.tenants.models import Tenant
from monitors.models import Monitor
from scans.models import Account


class RuleChangedError(Exception):
    """Somebody else changed this rule meanwhile: look at it again."""


# Of every new tenant: that the product itself works is nobody's wish in particular. Those about the
# whole installation are on for its operators only: one crash must not alert every customer.
DEFAULT_RULES: tuple[tuple[RuleKind, str, Severity], ...] = (
    (RuleKind.DEAD_LETTER, "Jobs failed for good", Severity.WARNING),
    (RuleKind.WORKER_CRASH, "Workers crashed", Severity.CRITICAL),
    (RuleKind.COMPONENT_HEALTH, "A component is critical", Severity.CRITICAL),
)


def add_rule(
    tenant: Tenant,
    *,
    name: str,
    kind: str,
    threshold: float | None = None,
    monitor: Monitor | None = None,
    account: Account | None = None,
    channels: Iterable[AlertChannel] = (),
    params: Mapping[str, Any] | None = None,
    severity: str = Severity.CRITICAL,
    enabled: bool = True,
) -> AlertRule:
    """A new rule, judged at once. Without a threshold it is the kind's own.

    Raises `ValidationError` with the field's name.
    """
    rule = AlertRule(
        tenant=tenant,
        name=name.strip(),
        kind=kind,
        threshold=threshold,
        monitor=monitor,
        account=account,
        params=dict(params or {}),
        severity=severity,
        enabled=enabled,
    )
    rule.full_clean()
    listed = _checked_channels(tenant, channels)
    with transaction.atomic():
        rule.save(force_insert=True)
        rule.channels.set(listed)
        doorbells.ring(doorbells.ALERTS_EVALUATE)
    return rule


def edit_rule(
    rule: AlertRule, *, channels: Iterable[AlertChannel] | None = None, **fields: Any
) -> AlertRule:
    """Change a rule's name, threshold, params, severity, monitor, account or `enabled`.

    Raises `ValidationError` with the field's name; `RuleChangedError` when somebody was first.
    """
    unknown = set(fields) - EDITABLE
    if unknown:
        raise ValidationError(dict.fromkeys(sorted(unknown), "This cannot be changed."))
    listed = None if channels is None else _checked_channels(rule.tenant, channels)
    draft = AlertRule(**{name: getattr(rule, name) for name in _COPIED} | fields)
    draft.full_clean(validate_unique=False, validate_constraints=True)
    with transaction.atomic():
        if not rule.update_guarded(**fields):
            raise RuleChangedError(str(RuleChangedError.__doc__))
        if listed is not None:
            rule.channels.set(listed)
        doorbells.ring(doorbells.ALERTS_EVALUATE)
    return rule


EDITABLE = frozenset({"name", "threshold", "params", "severity", "monitor", "account", "enabled"})
_COPIED = ("tenant", "kind", *sorted(EDITABLE))


def add_default_rules(tenant: Tenant) -> list[AlertRule]:
    """What every tenant has from the beginning, without channels: those it has to name.

    Rules about the whole installation are enabled for the first tenant, which is its operators'.
    """
    now = timezone.now()
    is_operators = not Tenant.objects.exclude(pk=tenant.pk).exists()
    return AlertRule.objects.bulk_create(
        AlertRule(
            tenant=tenant,
            name=name,
            kind=kind,
            severity=severity,
            created_at=now,
            enabled=is_operators or not SPECS[kind].is_about_installation,
        )
        for kind, name, severity in DEFAULT_RULES
    )


def _checked_channels(tenant: Tenant, channels: Iterable[AlertChannel]) -> list[AlertChannel]:
    listed = list(channels)
    foreign = [channel for channel in listed if channel.tenant_id != tenant.pk]
    if foreign:
        raise ValidationError({"channels": "A channel belongs to another tenant."})
    return listed
