"""The saving rules, and what a tenant or an account wants them to do otherwise."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from ninja import Field, Query, Router, Schema, Status
from pydantic import ConfigDict

from hostmaster.core.web.errors import ErrorOut
from hostmaster.core.web.fields import EXAMPLE_ID, Input
from hostmaster.core.web.paging import paged
from hostmaster.core.web.scoping import own, own_or_404
from hostmaster.core.web.tenancy import TenantRequest
from scans.aws.rule_settings import choices_for, set_rule
from scans.aws.rules.all import Choice, by_default
from scans.models import Account, RuleSetting

router = Router(tags=["rules"])


class RuleOut(Schema):
    """One saving rule, as it is or as one account wants it."""

    id: str = Field(examples=["ebs.unattached"])
    title: str
    kind: str = Field(description="Of the resources it looks at.", examples=["ebs_volume"])
    enabled: bool
    params: dict[str, float] = Field(examples=[{"min_age_days": 7}])
    defaults: dict[str, float] = Field(examples=[{"min_age_days": 7}])
    problem: str = Field(description="Why it does not run: its setting cannot be used.")


class RuleSettingOut(Schema):
    """What differs from a rule's defaults; holds from the next scan on."""

    id: UUID = Field(examples=[EXAMPLE_ID])
    account: UUID | None = Field(description="null: all accounts of the tenant.")
    rule: str = Field(examples=["ebs.unattached"])
    enabled: bool
    params: dict[str, Any]
    updated_at: datetime

    @staticmethod
    def resolve_account(row: RuleSetting) -> UUID | None:
        return row.account_id


class RuleSettingFilters(Schema):
    account: UUID | None = None
    rule: str | None = Field(None, max_length=60)


class RuleSettingIn(Input):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"rule": "ebs.unattached", "params": {"min_age_days": 3}}]},
    )

    rule: str = Field(max_length=60)
    account: UUID | None = Field(None, description="null: all accounts of the tenant.")
    enabled: bool = True
    params: dict[str, float] = Field({}, max_length=20)


@router.get("/rules", response=list[RuleOut])
def list_rules(request: TenantRequest) -> list[dict[str, Any]]:
    """Every saving rule with its parameters, in the order in which one beats another."""
    return [_described(choice) for choice in by_default()]


@router.get("/accounts/{account_id}/rules", response=list[RuleOut])
def list_rules_of_account(request: TenantRequest, account_id: UUID) -> list[dict[str, Any]]:
    """Every saving rule as this account wants it: its own settings before the tenant's."""
    return [_described(choice) for choice in choices_for(own_or_404(request, Account, account_id))]


def _described(choice: Choice) -> dict[str, Any]:
    return {
        "id": choice.rule.id,
        "title": choice.rule.title,
        "kind": choice.rule.kind,
        "enabled": choice.is_on,
        "params": dict(choice.params),
        "defaults": dict(choice.rule.defaults),
        "problem": choice.problem,
    }


@router.get("/rule-settings", response=list[RuleSettingOut])
@paged
def list_rule_settings(
    request: TenantRequest, filters: Query[RuleSettingFilters]
) -> QuerySet[RuleSetting]:
    """Your settings of rules, by rule."""
    wanted = filters.model_dump(exclude_none=True)
    return own(request, RuleSetting).filter(**wanted).order_by("rule", "pk")


@router.put("/rule-settings", response={200: RuleSettingOut, 404: ErrorOut})
def put_rule_setting(request: TenantRequest, body: RuleSettingIn) -> RuleSetting:
    """Set a rule for all your accounts, or for one, which comes before what holds for all.

    Replaces what was set there for this rule. 422 names a rule or parameter that does not exist.
    """
    account = None
    if body.account is not None:
        account = own_or_404(request, Account, body.account)
    return set_rule(
        request.tenant, rule=body.rule, account=account, enabled=body.enabled, params=body.params
    )


@router.delete("/rule-settings/{setting_id}", response={204: None})
def delete_rule_setting(request: TenantRequest, setting_id: UUID) -> Status[None]:
    """Back to what holds without this setting."""
    own_or_404(request, RuleSetting, setting_id).delete()
    return Status(204, None)
