"""Who calls the API: a Bearer token, or the session cookie of a tenant's member."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from hostmaster.core.tenants.models import ApiToken, Membership, Role
from hostmaster.core.tenants.rate_limit import spend_request
from hostmaster.core.tenants.services import authenticate_token
from hostmaster.core.web.errors import ForbiddenError
from hostmaster.core.web.tenancy import attach_tenant, membership_of

READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class TokenAuth(HttpBearer):
    """`Authorization: Bearer hm_…`."""

    def __call__(self, request: HttpRequest) -> ApiToken | None:
        # Not ninja's own: with DEBUG it logs the whole header when the scheme is another.
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        return self.authenticate(request, text.strip()) if scheme.lower() == "bearer" else None

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken | None:
        found = authenticate_token(token)
        if found is None:
            return None
        spend_request(found)
        attach_tenant(request, found.tenant, found.role, f"token {found.name}")
        _refuse_viewer_writing(request, Role(found.role))
        return found


class MemberAuth(APIKeyCookie):
    """The session cookie of a signed-in member; writing needs the CSRF token too."""

    param_name = settings.SESSION_COOKIE_NAME

    def __call__(self, request: HttpRequest) -> Membership | None:
        # A refused token must not fall back to a cookie that happens to travel along.
        if "Authorization" in request.headers:
            return None
        return self.authenticate(request, request.COOKIES.get(self.param_name))

    def authenticate(self, request: HttpRequest, key: str | None) -> Membership | None:
        if not key or not request.user.is_authenticated:
            return None
        if check_csrf(request) is not None:
            raise ForbiddenError("The CSRF token is missing or wrong; send it as X-CSRFToken.")
        membership = membership_of(request)
        role = Role(membership.role)
        attach_tenant(request, membership.tenant, role, f"user {request.user.get_username()}")
        _refuse_viewer_writing(request, role)
        return membership


def _refuse_viewer_writing(request: HttpRequest, role: Role) -> None:
    if request.method not in READING_METHODS and not role.allows(Role.OPERATOR):
        raise ForbiddenError("Writing needs the role operator; yours is viewer.")
