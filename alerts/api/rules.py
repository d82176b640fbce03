"""Alert rules: what is judged, how badly it matters, who is told."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.db.models import QuerySet
from ninja import Field, Query, Router, Schema, Status
from pydantic import ConfigDict, JsonValue

from alerts.models import AlertChannel, AlertRule, RuleKind, Severity
from alerts.services import RuleChangedError, add_rule, edit_rule
from hostmaster.core.web.errors import ConflictError, ErrorOut
from hostmaster.core.web.fields import EXAMPLE_ID, Input, Version
from hostmaster.core.web.paging import paged
from hostmaster.core.web.scoping import ensure_version, own, own_or_404
from hostmaster.core.web.tenancy import TenantRequest
from monitors.models import Monitor
from scans.models import Account

router = Router(tags=["alerts"])

Name = Annotated[str, Field(min_length=1, max_length=200, examples=["Shop is down"])]
Threshold = Annotated[
    float | None,
    Field(
        description="Failed checks in a row, milliseconds, days, percent, USD or a count, as the "
        "kind says; null: the kind's own.",
        examples=[3],
    ),
]
Params = Annotated[
    dict[str, JsonValue],
    Field(description="What the kind knows besides.", examples=[{"repeat_minutes": 60}]),
]
Channels = Annotated[list[UUID], Field(max_length=50, description="Who is told.")]


class RuleIn(Input):
    """A new rule; judged at once."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "Shop is down", "kind": "down", "threshold": 3}]},
    )

    name: Name
    kind: RuleKind
    threshold: Threshold = None
    enabled: bool = True
    monitor: UUID | None = Field(None, description="null: every monitor of yours.")
    account: UUID | None = Field(None, description="null: every account of yours.")
    params: Params = {}
    channels: Channels = []
    severity: Severity = Severity.CRITICAL


class RulePatch(Input):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"version": 1, "threshold": 5}]}
    )

    version: Version
    name: Name = ""
    threshold: Threshold = None
    enabled: bool = True
    monitor: UUID | None = None
    account: UUID | None = None
    params: Params = {}
    channels: Channels = []
    severity: Severity = Severity.CRITICAL


class AlertRuleOut(Schema):
    id: UUID = Field(examples=[EXAMPLE_ID])
    name: str
    kind: RuleKind
    threshold: float | None
    enabled: bool
    monitor: UUID | None
    account: UUID | None
    params: dict[str, Any]
    channels: list[UUID]
    severity: Severity
    created_at: datetime
    updated_at: datetime
    version: int

    @staticmethod
    def resolve_monitor(row: AlertRule) -> UUID | None:
        return row.monitor_id

    @staticmethod
    def resolve_account(row: AlertRule) -> UUID | None:
        return row.account_id

    @staticmethod
    def resolve_channels(row: AlertRule) -> list[UUID]:
        return [channel.pk for channel in row.channels.all()]


class RuleFilters(Schema):
    kind: RuleKind | None = None
    enabled: bool | None = None
    monitor: UUID | None = None


@router.get("/alert-rules", response=list[AlertRuleOut])
@paged
def list_rules(request: TenantRequest, filters: Query[RuleFilters]) -> QuerySet[AlertRule]:
    """Your alert rules by name."""
    rules = own(request, AlertRule).filter(**filters.model_dump(exclude_none=True))
    return rules.prefetch_related("channels").order_by("name", "pk")


@router.post("/alert-rules", response={201: AlertRuleOut, 404: ErrorOut})
def create_rule(request: TenantRequest, body: RuleIn) -> Status[AlertRule]:
    """Add a rule."""
    return Status(201, add_rule(request.tenant, **_fields(request, body.model_dump())))


@router.get("/alert-rules/{rule_id}", response=AlertRuleOut)
def get_rule(request: TenantRequest, rule_id: UUID) -> AlertRule:
    """One rule."""
    return own_or_404(request, AlertRule, rule_id)


@router.patch("/alert-rules/{rule_id}", response={200: AlertRuleOut, 409: ErrorOut})
def patch_rule(request: TenantRequest, rule_id: UUID, body: RulePatch) -> AlertRule:
    """Change it; incidents it would no longer open are resolved at the next evaluation."""
    rule = own_or_404(request, AlertRule, rule_id)
    ensure_version(rule, body.version)
    given = body.model_dump(exclude_unset=True, exclude={"version"})
    try:
        return edit_rule(rule, **_fields(request, given))
    except RuleChangedError as error:
        raise ConflictError(str(error)) from error


@router.delete("/alert-rules/{rule_id}", response={204: None})
def delete_rule(request: TenantRequest, rule_id: UUID) -> Status[None]:
    """Forget the rule and its incidents. To keep those, disable it instead."""
    own_or_404(request, AlertRule, rule_id).delete()
    return Status(204, None)


def _fields(request: TenantRequest, given: dict[str, Any]) -> dict[str, Any]:
    """Rows of the caller's own in the place of their ids."""
    if given.get("monitor"):
        given["monitor"] = own_or_404(request, Monitor, given["monitor"])
    if given.get("account"):
        given["account"] = own_or_404(request, Account, given["account"])
    if "channels" in given:
        given["channels"] = [own_or_404(request, AlertChannel, pk) for pk in given["channels"]]
    return given
