"""Budgets a month, and the thresholds that were passed."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from ninja import Field, Query, Router, Schema, Status
from pydantic import ConfigDict

from hostmaster.core.web.errors import ConflictError, ErrorOut
from hostmaster.core.web.fields import EXAMPLE_ID, Input, Version
from hostmaster.core.web.paging import paged
from hostmaster.core.web.scoping import CHANGED_MEANWHILE, ensure_version, own, own_or_404
from hostmaster.core.web.tenancy import TenantRequest
from scans.api.fields import Name, Text
from scans.models import Account, BreachKind, Budget, BudgetBreach

router = Router(tags=["costs"])

NAME_IS_TAKEN = "There is already a budget of this name."

Percent = Annotated[int, Field(ge=1, le=1000)]
Thresholds = Annotated[
    list[Percent], Field(max_length=10, description="Percent of what was spent.")
]
Limit = Annotated[Decimal, Field(gt=0, max_digits=14, decimal_places=2, description="USD a month.")]
OfForecast = Annotated[
    Percent | None,
    Field(description="Percent of what the month will have cost; null: not watched."),
]


class BudgetIn(Input):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "All", "limit_usd": "500.00"}]}
    )

    name: Name
    limit_usd: Limit
    account: UUID | None = Field(None, description="null: all your accounts.")
    service: Text = Field("", description="As Cost Explorer names it; empty: all.")
    thresholds: Thresholds = [50, 80, 100]
    forecast_threshold: OfForecast = 100
    is_enabled: bool = True


class BudgetPatch(Input):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"version": 1, "limit_usd": "600.00"}]}
    )

    version: Version
    name: Name | None = None
    limit_usd: Limit | None = None
    thresholds: Thresholds | None = None
    forecast_threshold: OfForecast = None
    is_enabled: bool | None = None


class BudgetOut(Schema):
    id: UUID = Field(examples=[EXAMPLE_ID])
    name: str
    account: UUID | None
    service: str
    limit_usd: Decimal
    thresholds: list[int]
    forecast_threshold: int | None
    is_enabled: bool
    created_at: datetime
    version: int

    @staticmethod
    def resolve_account(row: Budget) -> UUID | None:
        return row.account_id


class BreachOut(Schema):
    """A threshold that was passed, told once a month."""

    id: int
    budget: UUID
    kind: BreachKind
    threshold: int = Field(description="Percent of the limit.")
    period: date = Field(description="The month's first day.")
    value_usd: Decimal
    limit_usd: Decimal
    found_at: datetime
    recovered_at: datetime | None = Field(description="When the next month had begun.")

    @staticmethod
    def resolve_budget(row: BudgetBreach) -> UUID:
        return row.budget_id


class BreachFilters(Schema):
    budget: UUID | None = None
    kind: BreachKind | None = None
    recovered: bool = Field(False, description="Those of months past instead of this month's.")


@router.get("/budgets", response=list[BudgetOut])
@paged
def list_budgets(request: TenantRequest) -> QuerySet[Budget]:
    """Your budgets by name."""
    return own(request, Budget).order_by("name", "pk")


@router.post("/budgets", response={201: BudgetOut, 404: ErrorOut, 409: ErrorOut})
def create_budget(request: TenantRequest, body: BudgetIn) -> Status[Budget]:
    """So many USD a month; judged with each refresh of costs."""
    fields = body.model_dump()
    account_id = fields.pop("account")
    account = own_or_404(request, Account, account_id) if account_id else None
    try:
        with transaction.atomic():
            budget = Budget.objects.create(tenant=request.tenant, account=account, **fields)
    except IntegrityError as error:
        raise ConflictError(NAME_IS_TAKEN) from error
    return Status(201, budget)


@router.get("/budgets/{budget_id}", response=BudgetOut)
def get_budget(request: TenantRequest, budget_id: UUID) -> Budget:
    """One budget."""
    return own_or_404(request, Budget, budget_id)


@router.patch("/budgets/{budget_id}", response={200: BudgetOut, 409: ErrorOut})
def patch_budget(request: TenantRequest, budget_id: UUID, body: BudgetPatch) -> Budget:
    """Change what it allows and when it tells. What was told this month is not told again."""
    budget = own_or_404(request, Budget, budget_id)
    ensure_version(budget, body.version)
    changes: dict[str, Any] = body.model_dump(exclude_unset=True, exclude={"version"})
    # Only a forecast's threshold may be nothing.
    kept = {k: v for k, v in changes.items() if v is not None or k == "forecast_threshold"}
    try:
        with transaction.atomic():
            if not budget.update_guarded(**kept):
                raise ConflictError(CHANGED_MEANWHILE)
    except IntegrityError as error:
        raise ConflictError(NAME_IS_TAKEN) from error
    budget.refresh_from_db()  # as the database rounds
    return budget


@router.delete("/budgets/{budget_id}", response={204: None})
def remove_budget(request: TenantRequest, budget_id: UUID) -> Status[None]:
    """Forget the budget and what it told."""
    own_or_404(request, Budget, budget_id).delete()
    return Status(204, None)


@router.get("/budget-breaches", response=list[BreachOut])
@paged
def list_breaches(request: TenantRequest, filters: Query[BreachFilters]) -> QuerySet[BudgetBreach]:
    """The thresholds that were passed, the latest first."""
    wanted: dict[str, Any] = filters.model_dump(exclude_none=True)
    wanted["recovered_at__isnull"] = not wanted.pop("recovered")
    return own(request, BudgetBreach).filter(**wanted).order_by("-period", "-found_at", "pk")
