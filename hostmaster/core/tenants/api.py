"""The API's answer to “who am I here?”, the first call to try a token with."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from ninja import Router, Schema

from hostmaster.core.web.tenancy import TenantRequest

router = Router(tags=["tenants"])


class TenantOut(Schema):
    id: UUID
    name: str


class CallerOut(Schema):
    tenant: TenantOut
    role: str
    actor: str


@router.get("/whoami", response=CallerOut)
def whoami(request: TenantRequest) -> dict[str, Any]:
    """The tenant this token or session works for, its role, and its name in histories."""
    return {"tenant": request.tenant, "role": request.role, "actor": request.actor}
