"""What could be saved, and a person's decision about it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from ninja import Field, Query, Router, Schema
from pydantic import ConfigDict

from hostmaster.core.web.errors import ConflictError, ErrorOut
from hostmaster.core.web.fields import EXAMPLE_ID, Input, Instant, Version
from hostmaster.core.web.paging import paged
from hostmaster.core.web.scoping import CHANGED_MEANWHILE, ensure_version, own, own_or_404
from hostmaster.core.web.tenancy import TenantRequest
from scans.api.exports import CHUNK, DOCUMENTED, Format, export
from scans.api.fields import Text, Usd
from scans.aws import findings
from scans.models import Confidence, Effort, Recommendation, RecommendationStatus

router = Router(tags=["recommendations"])

# Of an exported table.
_COLUMNS = (
    "account__name",
    "region",
    "rule",
    "resource_id",
    "resource_name",
    "title",
    "saving_low_usd",
    "saving_high_usd",
    "is_upper_bound",
    "confidence",
    "effort",
    "status",
    "action",
    "risk",
    "first_seen_at",
    "last_seen_at",
)


class RecommendationOut(Schema):
    """Money that could be saved each month, and why we think so."""

    id: UUID = Field(examples=[EXAMPLE_ID])
    account: UUID
    rule: str = Field(examples=["ebs.unattached"])
    region: str = Field(examples=["eu-west-1"])
    resource_id: str = Field(examples=["vol-0abc1234def567890"])
    resource_name: str
    title: str
    status: RecommendationStatus = Field(
        description="dismissed: no scan opens it again; snoozed: until `snoozed_until`; "
        "resolved: a scan that could see it no longer found it."
    )
    saving_low_usd: Usd
    saving_high_usd: Usd
    confidence: Confidence
    effort: Effort = Field(description="high: engineering, such as another architecture.")
    action: str = Field(description="What to do.")
    risk: str = Field(description="What may go wrong.")
    is_upper_bound: bool = Field(description='The saving is "up to": AWS tells no more.')
    evidence: dict[str, Any] = Field(description="The figures it was judged by.")
    exclusive_group: str = Field(description="Of one group only the largest saving counts.")
    first_seen_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None
    dismissed_at: datetime | None = Field(description="Or snoozed; so are the next two.")
    dismissed_by: str
    dismissed_reason: str
    snoozed_until: datetime | None
    version: int

    @staticmethod
    def resolve_account(row: Recommendation) -> UUID:
        return row.account_id


class RecommendationFilters(Schema):
    account: UUID | None = None
    status: RecommendationStatus | None = None
    rule: Text | None = None
    region: Text | None = None
    resource_id: Text | None = None
    confidence: Confidence | None = None
    effort: Effort | None = None
    saving_high_usd__gte: Decimal | None = Field(
        None, alias="min_saving_usd", ge=0, max_digits=14, decimal_places=4
    )


class DismissIn(Input):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"version": 3, "reason": "Kept for the audit."}]},
    )

    version: Version
    reason: str = Field("", max_length=2000)


class SnoozeIn(Input):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"version": 3, "until": "2099-01-01T00:00:00Z"}]},
    )

    version: Version
    until: Instant = Field(description="To come, with its time zone.")
    reason: str = Field("", max_length=2000)


class ReopenIn(Input):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"version": 3}]})

    version: Version


@router.get("/recommendations", response=list[RecommendationOut])
@paged
def list_recommendations(
    request: TenantRequest, filters: Query[RecommendationFilters]
) -> QuerySet[Recommendation]:
    """Your recommendations, the largest saving first."""
    return _wanted(request, filters)


@router.get("/recommendations/export", response=None, openapi_extra=DOCUMENTED)
def export_recommendations(
    request: TenantRequest,
    filters: Query[RecommendationFilters],
    format: Query[Format] = "csv",
) -> StreamingHttpResponse:
    """All that the filters leave, as one file: CSV for a spreadsheet, or a JSON list."""
    rows = _wanted(request, filters).values(*_COLUMNS)
    return export(request, rows.iterator(CHUNK), _COLUMNS, name="recommendations", format=format)


def _wanted(request: TenantRequest, filters: RecommendationFilters) -> QuerySet[Recommendation]:
    wanted = filters.model_dump(exclude_none=True, by_alias=False)
    return own(request, Recommendation).filter(**wanted).order_by("-saving_high_usd", "pk")


@router.get("/recommendations/{recommendation_id}", response=RecommendationOut)
def get_recommendation(request: TenantRequest, recommendation_id: UUID) -> Recommendation:
    """One recommendation with its evidence."""
    return own_or_404(request, Recommendation, recommendation_id)


@router.post(
    "/recommendations/{recommendation_id}/dismiss",
    response={200: RecommendationOut, 409: ErrorOut},
)
def dismiss(request: TenantRequest, recommendation_id: UUID, body: DismissIn) -> Recommendation:
    """Not worth doing: no scan opens it again. 409 when it changed since `version`."""
    found = _read_at(request, recommendation_id, body.version)
    return _kept(found, findings.dismiss(found, by=request.actor, reason=body.reason))


@router.post(
    "/recommendations/{recommendation_id}/snooze",
    response={200: RecommendationOut, 409: ErrorOut},
)
def snooze(request: TenantRequest, recommendation_id: UUID, body: SnoozeIn) -> Recommendation:
    """Not now: the first scan after `until` that still finds it opens it again."""
    found = _read_at(request, recommendation_id, body.version)
    return _kept(
        found, findings.snooze(found, until=body.until, by=request.actor, reason=body.reason)
    )


@router.post(
    "/recommendations/{recommendation_id}/reopen",
    response={200: RecommendationOut, 409: ErrorOut},
)
def reopen(request: TenantRequest, recommendation_id: UUID, body: ReopenIn) -> Recommendation:
    """Take a dismissal or a snooze back."""
    found = _read_at(request, recommendation_id, body.version)
    return _kept(found, findings.reopen(found, by=request.actor))


def _read_at(request: TenantRequest, pk: UUID, version: int) -> Recommendation:
    found = own_or_404(request, Recommendation, pk)
    ensure_version(found, version)
    return found


def _kept(found: Recommendation, was_written: bool) -> Recommendation:
    if not was_written:
        raise ConflictError(CHANGED_MEANWHILE)
    return found
