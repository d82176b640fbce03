"""What the accounts cost, and what is unusual about it."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from django.db.models import F, IntegerField, Max, QuerySet, Sum
from django.db.models.functions import Cast
from django.http import StreamingHttpResponse
from ninja import Field, Query, Router, Schema, Status
from pydantic import AfterValidator

from hostmaster.core.web.errors import InvalidInputError
from hostmaster.core.web.fields import EXAMPLE_ID
from hostmaster.core.web.paging import paged
from hostmaster.core.web.scoping import own, own_or_404
from hostmaster.core.web.tenancy import TenantRequest
from scans.api.exports import CHUNK, DOCUMENTED, Format, export
from scans.api.fields import Text
from scans.api.scans import ScanOut
from scans.aws.costs.services import request_cost_refresh
from scans.aws.costs.summary import CostSummary, cost_summary
from scans.models import Account, AnomalySource, CostAnomaly, CostMetric, CostRecord, ScanJob

router = Router(tags=["costs"])

Money = Annotated[Decimal, Field(description="USD.", examples=["12.340000"])]
EXPORTED = ("date", "account__name", "service", "region", "metric", "amount_usd", "currency")
ONE_DIMENSION = "Costs are by service or by region: the same money is told in both ways."


class Group(StrEnum):
    DAY = "day"
    SERVICE = "service"
    REGION = "region"
    ACCOUNT = "account"


def _in_reach(day: date) -> date:
    if not 1970 <= day.year <= 9000:
        raise ValueError("A day lies between the years 1970 and 9000.")
    return day


Day = Annotated[date, AfterValidator(_in_reach), Field(examples=["2026-11-01"])]


class CostFilters(Schema):
    account: UUID | None = None
    date__gte: Day | None = Field(None, alias="from", description="The first day.")
    date__lte: Day | None = Field(None, alias="to", description="The last day.")
    service: Text | None = Field(None, description="As Cost Explorer names it.")
    region: Text | None = None
    metric: CostMetric = Field(
        CostMetric.UNBLENDED, description="amortized: upfront payments spread over their term."
    )


class GroupedFilters(CostFilters):
    group: Group = Group.DAY


class CostOut(Schema):
    """The money of one day, service, region or account: of what `group` says."""

    key: str = Field(examples=["2026-11-23"])
    usd: Money
    estimated: bool = Field(description="Cost Explorer may still revise some of it.")

    @staticmethod
    def resolve_key(row: dict[str, Any]) -> str:
        return str(row["key"])


class ServiceCostOut(Schema):
    service: str
    usd: Money


class CostSummaryOut(Schema):
    """Figures are null where Cost Explorer told nothing."""

    month_to_date_usd: Money | None
    last_30_days_usd: Money | None
    by_service: list[ServiceCostOut] = Field(description="Of the last 30 days, largest first.")
    forecast_usd: Money | None = Field(description="What the month will have cost.")
    forecast_low_usd: Money | None
    forecast_high_usd: Money | None
    forecast_basis: str = Field(description="aws, weekday, or empty.")
    last_day: date | None
    fetched_at: datetime | None


class AnomalyOut(Schema):
    """A day that cost far more than such days do: everything unusual of it together."""

    id: int
    account: UUID = Field(examples=[EXAMPLE_ID])
    date: date
    source: AnomalySource
    service: str = Field(description="The one that rose most.")
    actual_usd: Money
    expected_usd: Money
    excess_usd: Money
    score: Decimal | None = Field(description="Robust z; null: AWS found it and tells none.")
    contributors: list[dict[str, Any]] = Field(description="The three services that rose most.")
    regions: list[dict[str, Any]]
    services_count: int
    first_seen_at: datetime
    last_seen_at: datetime
    withdrawn_at: datetime | None = Field(description="When revised costs took it back.")

    @staticmethod
    def resolve_account(row: CostAnomaly) -> UUID:
        return row.account_id


class AnomalyFilters(Schema):
    account: UUID | None = None
    date__gte: Day | None = Field(None, alias="from")
    date__lte: Day | None = Field(None, alias="to")
    service: Text | None = None
    withdrawn: bool = Field(False, description="Those withdrawn instead of those that stand.")


@router.get("/costs", response=list[CostOut])
@paged
def list_costs(request: TenantRequest, filters: Query[GroupedFilters]) -> QuerySet[Any]:
    """Your costs, added up by day, service, region or account.

    By service or by region, never both: Cost Explorer tells the same money in both ways.
    """
    of_region = filters.group == Group.REGION or filters.region is not None
    if of_region and (filters.group == Group.SERVICE or filters.service is not None):
        field = "group" if filters.service is None else "service"
        raise InvalidInputError(field, ONE_DIMENSION, source="query")
    name = "date" if filters.group == Group.DAY else filters.group.value
    estimated = Cast("is_estimated", IntegerField())  # PostgreSQL has no largest of booleans
    groups: QuerySet[Any] = (
        _records(request, filters, of_region=of_region)
        .order_by()
        .values(key=F(name))
        .annotate(usd=Sum("amount_usd"), estimated=Max(estimated))
    )
    return groups.order_by("-key") if name == "date" else groups.order_by("-usd", "key")


@router.get("/costs/export", response=None, openapi_extra=DOCUMENTED)
def export_costs(
    request: TenantRequest, filters: Query[CostFilters], format: Format = "csv"
) -> StreamingHttpResponse:
    """Your costs by day and service, or by day and region when `region` is given, as a file."""
    if filters.region is not None and filters.service is not None:
        raise InvalidInputError("service", ONE_DIMENSION, source="query")
    records = _records(request, filters, of_region=filters.region is not None)
    rows = records.order_by("date", "account", "service", "region", "pk").values(
        *EXPORTED, estimated=F("is_estimated")
    )
    columns = (*EXPORTED, "estimated")
    return export(request, rows.iterator(CHUNK), columns, name="costs", format=format)


@router.get("/accounts/{account_id}/costs", response=CostSummaryOut)
def account_costs(request: TenantRequest, account_id: UUID) -> CostSummary:
    """What an account cost this month and in the last 30 days, and what the month will come to."""
    return cost_summary(own_or_404(request, Account, account_id))


@router.post("/accounts/{account_id}/refresh-costs", response={202: ScanOut})
def refresh_account_costs(request: TenantRequest, account_id: UUID) -> Status[ScanJob]:
    """Ask Cost Explorer now. AWS charges 0.01 USD for each of about eight requests.

    The refresh that is open, if there is one.
    """
    account = own_or_404(request, Account, account_id)
    return Status(202, request_cost_refresh(account, requested_by=request.actor))


@router.get("/cost-anomalies", response=list[AnomalyOut])
@paged
def list_anomalies(request: TenantRequest, filters: Query[AnomalyFilters]) -> QuerySet[CostAnomaly]:
    """Your unusual days, the latest first."""
    wanted: dict[str, Any] = filters.model_dump(exclude_none=True, by_alias=False)
    wanted["withdrawn_at__isnull"] = not wanted.pop("withdrawn")
    return own(request, CostAnomaly).filter(**wanted).order_by("-date", "-excess_usd", "pk")


def _records(request: TenantRequest, filters: CostFilters, *, of_region: bool) -> QuerySet[Any]:
    wanted = filters.model_dump(exclude_none=True, by_alias=False, exclude={"group"})
    records = own(request, CostRecord).filter(**wanted)
    return records.exclude(region="") if of_region else records.exclude(service="")
