"""The one way a route reaches rows: through the caller's tenant."""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from django.db import models

from hostmaster.core.state import VersionedModel
from hostmaster.core.web.errors import ConflictError, NotFoundError
from hostmaster.core.web.tenancy import TenantRequest

CHANGED_MEANWHILE = "Somebody changed this since you read it: read it again, then decide."

Row = TypeVar("Row", bound=models.Model)


def own(request: TenantRequest, model: type[Row]) -> models.QuerySet[Row]:
    """The caller's rows of `model`, which has a `tenant`."""
    return model._default_manager.filter(tenant=request.tenant)


def own_or_404(request: TenantRequest, model: type[Row], pk: UUID | int) -> Row:
    """The caller's row; somebody else's answers as one that does not exist: `NotFoundError`."""
    row = own(request, model).filter(pk=pk).first()
    if row is None:
        raise NotFoundError
    return row


def ensure_version(row: VersionedModel, version: int) -> None:
    """The caller decided on what he read. Raises `ConflictError` when it has changed since."""
    if row.version != version:
        raise ConflictError(CHANGED_MEANWHILE)
