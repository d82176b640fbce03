"""Builders of test data: valid and unique by default, any field overridden by keyword."""

from __future__ import annotations

from itertools import count
from typing import Any

from django.contrib.auth.models import User

from hostmaster.core.tenants.models import ApiToken, Membership, Role, Tenant
from hostmaster.core.tenants.services import create_token
from tests.kernel_app.models import Errand

_numbers = count(1)


def make_tenant(**overrides: Any) -> Tenant:
    return Tenant.objects.create(**{"name": f"Tenant {next(_numbers)}", **overrides})


def make_errand(**overrides: Any) -> Errand:
    return Errand.objects.create(**{"tenant": overrides.get("tenant") or make_tenant(), **overrides})


def make_user(*, password: str = "right password", **overrides: Any) -> User:
    fields = {"username": f"user{next(_numbers)}", **overrides}
    return User.objects.create_user(password=password, **fields)


def make_staff(**overrides: Any) -> User:
    """An operator of the installation: every permission in the admin."""
    return make_user(**{"is_staff": True, "is_superuser": True, **overrides})


def make_membership(
    *, tenant: Tenant | None = None, user: User | None = None, role: Role = Role.OPERATOR
) -> Membership:
    return Membership.objects.create(
        tenant=tenant or make_tenant(), user=user or make_user(), role=role
    )


def make_token(
    *, tenant: Tenant | None = None, role: Role = Role.OPERATOR, **overrides: Any
) -> ApiToken:
    """A token whose `plain_text` is there."""
    name = overrides.pop("name", f"token {next(_numbers)}")
    return create_token(tenant or make_tenant(), name, role, **overrides)


def bearer(token: ApiToken) -> dict[str, str]:
    """The header for `token`: `client.get(path, headers=bearer(token))`."""
    return {"Authorization": f"Bearer {token.plain_text}"}
