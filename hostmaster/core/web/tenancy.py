"""For whom a request is answered: its tenant, the role, and who acts."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest

from hostmaster.core.tenants.models import Membership, Role, Tenant
from hostmaster.core.web.errors import ApiError, ForbiddenError

TENANT_HEADER = "X-Tenant"
TENANT_SESSION_KEY = "tenant_id"


class TenantRequest(HttpRequest):
    """A request after authentication. Routes and views take this and filter by `tenant`."""

    tenant: Tenant
    role: Role
    actor: str  # for a job's history: "token CI" or "user anna"


def attach_tenant(request: HttpRequest, tenant: Tenant, role: Role | str, actor: str) -> None:
    """Make `request` a `TenantRequest`."""
    vars(request).update(tenant=tenant, role=Role(role), actor=actor)


def require_role(request: TenantRequest, needed: Role) -> None:
    """Raise `ForbiddenError` unless the caller's role allows `needed`.

    Writing needs an operator already by authentication; a route asks for more with this.
    """
    if not request.role.allows(needed):
        raise ForbiddenError(f"This needs the role {needed}; yours is {request.role}.")


def membership_of(request: HttpRequest) -> Membership:
    """The membership a signed-in user acts by: named in the header `X-Tenant` (name or UUID), else
    chosen in the session, else the only one. A guess could write into the wrong tenant.

    Raises `ForbiddenError` without a membership, `ApiError` (400) when the choice is open.
    """
    if not request.user.is_authenticated:
        raise ForbiddenError("Sign in first.")
    mine = Membership.objects.filter(user=request.user).select_related("tenant")
    wanted = request.headers.get(TENANT_HEADER) or request.session.get(TENANT_SESSION_KEY)
    found = list(_by_tenant(mine, str(wanted)) if wanted else mine[:2])
    if not found:
        raise ForbiddenError(
            "Your user is a member of no such tenant; an administrator can add it."
        )
    if len(found) > 1:
        raise ApiError(f"You are a member of several tenants; name one in {TENANT_HEADER}.")
    return found[0]


def _by_tenant(mine: QuerySet[Membership], wanted: str) -> QuerySet[Membership]:
    try:
        return mine.filter(tenant_id=UUID(wanted))
    except ValueError:
        return mine.filter(tenant__name=wanted)
