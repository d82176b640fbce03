"""What the last successful look saw in the accounts."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db import models
from ninja import Field, Query, Router, Schema

from hostmaster.core.web.paging import paged
from hostmaster.core.web.scoping import own
from hostmaster.core.web.tenancy import TenantRequest
from scans.api.fields import ItemOut, Text
from scans.models import Instance, InventoryItem, Resource

router = Router(tags=["inventory"])

Item = TypeVar("Item", bound=InventoryItem)


class InstanceOut(ItemOut):
    """An EC2 instance."""

    instance_type: str = Field(examples=["m5.large"])
    lifecycle: str = Field(examples=["on-demand"])
    availability_zone: str = Field(examples=["eu-west-1a"])
    platform: str
    launched_at: datetime | None


class ResourceOut(ItemOut):
    """Anything that is not an EC2 instance."""

    kind: str = Field(examples=["ebs_volume"])


class ItemFilters(Schema):
    account: UUID | None = None
    region: Text | None = None
    state: Text | None = None
    resource_id: Text | None = None
    gone: bool = Field(False, description="Those that are gone instead of those that are there.")


class ResourceFilters(ItemFilters):
    kind: Text | None = None


@router.get("/instances", response=list[InstanceOut])
@paged
def list_instances(
    request: TenantRequest, filters: Query[ItemFilters]
) -> models.QuerySet[Instance]:
    """Your EC2 instances."""
    return _items(request, Instance, filters)


@router.get("/resources", response=list[ResourceOut])
@paged
def list_resources(
    request: TenantRequest, filters: Query[ResourceFilters]
) -> models.QuerySet[Resource]:
    """Your volumes, addresses and everything else that is no EC2 instance."""
    return _items(request, Resource, filters)


def _items(
    request: TenantRequest, model: type[Item], filters: ItemFilters
) -> models.QuerySet[Item]:
    wanted: dict[str, Any] = filters.model_dump(exclude_none=True)
    wanted["gone_at__isnull"] = not wanted.pop("gone")
    return own(request, model).filter(**wanted).order_by("account", "region", "resource_id", "pk")
