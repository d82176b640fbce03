"""The verbs on tenants, their members and their API tokens."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from argparse import ArgumentParser
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.utils import timezone

from hostmaster.core.tenants.models import ApiToken, Membership, Role, Tenant

if TYPE_CHECKING:
    from django.contrib.auth.models import User

TOKEN_PREFIX = "hm"  # noqa: S105 - the public start of every token, for secret scanners


class TenantChoiceError(Exception):
    """Which tenant is meant cannot be told."""


def create_tenant(name: str) -> Tenant:
    """A new tenant. Raises `django.core.exceptions.ValidationError` for an empty or taken name."""
    tenant = Tenant(name=name.strip())
    tenant.full_clean()
    tenant.save(force_insert=True)
    return tenant


def add_member(tenant: Tenant, user: User, role: Role | str = Role.VIEWER) -> Membership:
    """Let `user` work for `tenant`; for a member, change the role."""
    membership, _ = Membership.objects.update_or_create(
        tenant=tenant, user=user, defaults={"role": Role(role)}
    )
    return membership


def create_token(
    tenant: Tenant,
    name: str,
    role: Role | str = Role.VIEWER,
    *,
    expires_at: datetime | None = None,
) -> ApiToken:
    """A new API token. Its text is in `plain_text` of the returned row, and nowhere else, once.

    Raises `ValueError` for an unknown role, `ValidationError` for an empty name.
    """
    secret = secrets.token_hex(32)
    token = ApiToken(
        tenant=tenant,
        name=name.strip(),
        token_id=secrets.token_hex(8),
        secret_hash=_hash(secret),
        role=Role(role),
        expires_at=expires_at,
    )
    token.full_clean()
    token.save(force_insert=True)
    token.plain_text = f"{TOKEN_PREFIX}_{token.token_id}_{secret}"
    return token


def revoke_token(token: ApiToken) -> bool:
    """Refuse `token` from its next request on. `False`: it was revoked already."""
    now = timezone.now()
    changed = ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now)
    if changed:
        token.revoked_at = now
    return bool(changed)


def authenticate_token(text: str) -> ApiToken | None:
    """The token that `text` is, with its tenant, unless unknown, revoked or expired. One query."""
    prefix, _, rest = text.partition("_")
    token_id, _, secret = rest.partition("_")
    if prefix != TOKEN_PREFIX or not token_id.isalnum() or len(token_id) > 32 or not secret:
        return None
    token = ApiToken.objects.usable().select_related("tenant").filter(token_id=token_id).first()
    if token is None or not hmac.compare_digest(token.secret_hash, _hash(secret)):
        return None
    return token


def default_tenant(name: str | None = None) -> Tenant:
    """The tenant a command works for: the named one (name or UUID), else the only one.

    Raises `TenantChoiceError`, whose sentence names the choices.
    """
    if name:
        return _named_tenant(name)
    tenants = list(Tenant.objects.all()[:2])
    if not tenants:
        raise TenantChoiceError("There is no tenant yet: run `manage.py quickstart` first.")
    if len(tenants) > 1:
        raise TenantChoiceError(f"There are several tenants; add --tenant with {_choices()}.")
    return tenants[0]


def add_tenant_argument(parser: ArgumentParser) -> None:
    """`--tenant` for a command; hand its value to `default_tenant`."""
    parser.add_argument(
        "--tenant", metavar="NAME", help="Whose; needed when there is more than one tenant."
    )


def _named_tenant(name: str) -> Tenant:
    tenant = Tenant.objects.filter(name=name).first() or _tenant_by_id(name)
    if tenant is None:
        raise TenantChoiceError(f"There is no tenant {name!r}. There is: {_choices()}.")
    return tenant


def _tenant_by_id(text: str) -> Tenant | None:
    try:
        pk = UUID(text)
    except ValueError:
        return None
    return Tenant.objects.filter(pk=pk).first()


def _choices(shown: int = 20) -> str:
    names = list(Tenant.objects.values_list("name", flat=True)[: shown + 1])
    more = ", …" if len(names) > shown else ""
    return ", ".join(repr(name) for name in names[:shown]) + more if names else "none yet"


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
