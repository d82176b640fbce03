"""How an account wants its rules: the defaults, the tenant's wishes, and then its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q

from hostmaster.core.tenants.models import Tenant
from scans.aws.rules.all import ALL_RULES, RULES_BY_ID, Choice
from scans.aws.rules.finding import Rule
from scans.models import Account, RuleSetting

# Parameters that are shares: 0 to 1.
SHARES = frozenset({"min_coverage", "max_coverage", "max_saving_share", "discount"})


def choices_for(account: Account) -> list[Choice]:
    """Every rule in its order, as this account wants it: one query."""
    wanted = RuleSetting.objects.filter(tenant=account.tenant_id)
    wanted = wanted.filter(Q(account=account) | Q(account__isnull=True))
    by_rule: dict[str, list[RuleSetting]] = {}
    for setting in wanted:
        by_rule.setdefault(setting.rule, []).append(setting)
    # The tenant's first, so that the account's own come over it.
    return [
        _choice(rule, sorted(by_rule.get(rule.id, ()), key=lambda s: s.account_id is not None))
        for rule in ALL_RULES
    ]


def set_rule(
    tenant: Tenant,
    *,
    rule: str,
    account: Account | None = None,
    enabled: bool = True,
    params: Mapping[str, Any] | None = None,
) -> RuleSetting:
    """Keep what the tenant, or one of its accounts, wants; it holds from the next scan on.

    Raises `ValidationError` for a rule or parameter that does not exist, and for an account of
    another tenant.
    """
    if account is not None and account.tenant_id != tenant.pk:
        raise ValidationError({"account": "This account belongs to another tenant."})
    validate(rule, params or {})
    with transaction.atomic():
        setting, _ = RuleSetting.objects.update_or_create(
            tenant=tenant,
            account=account,
            rule=rule,
            defaults={"enabled": enabled, "params": dict(params or {})},
        )
    return setting


def validate(rule_id: str, params: object) -> None:
    """Raises `ValidationError` naming what is wrong."""
    rule = RULES_BY_ID.get(rule_id)
    if rule is None:
        raise ValidationError({"rule": f"There is no rule {rule_id[:60]!r}."})
    if not isinstance(params, Mapping):
        raise ValidationError({"params": "Parameters are an object, name by name."})
    problems = [problem for name in params if (problem := _problem(rule, name, params[name]))]
    if problems:
        raise ValidationError({"params": problems})


def _problem(rule: Rule, name: str, value: object) -> str:
    if name not in rule.defaults:
        known = ", ".join(rule.defaults)
        return f"{rule.id} has no parameter {str(name)[:60]!r}; it has {known}."
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{name} is a number."
    if not math.isfinite(value) or value < 0:
        return f"{name} is a number from 0 up."
    # A discount of all would divide by nothing.
    if name in SHARES and (value > 1 or (name == "discount" and value >= 1)):
        return f"{name} is a share, from 0 to 1."
    return ""


def _choice(rule: Rule, settings: list[RuleSetting]) -> Choice:
    params, is_on = dict(rule.defaults), rule.is_on_by_default
    for setting in settings:
        try:
            validate(rule.id, setting.params)
        except ValidationError as error:
            # Written past the service: better no findings of this rule than wrong ones.
            return Choice(rule, rule.defaults, problem=f"Its setting: {' '.join(error.messages)}")
        params |= setting.params
        is_on = setting.enabled
    return Choice(rule, params, is_on)
