"""Who owns a row: a tenant; who may see it: its members and its API tokens."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


class Role(models.TextChoices):
    """What a member or a token may do; each role may also do what those before it may."""

    VIEWER = "viewer"  # reads
    OPERATOR = "operator"  # reads and writes
    ADMIN = "admin"  # also what cannot be undone, such as forgetting an account

    def allows(self, needed: Role) -> bool:
        order = list(Role)
        return order.index(self) >= order.index(needed)


class Tenant(models.Model):
    """A customer. Every row of the product belongs to exactly one."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "tenants"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A user who may work for a tenant, with a role."""

    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="tenant_memberships"
    )
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.VIEWER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "memberships"
        ordering = ["tenant__name", "user__username"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "user"], name="memberships_once"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="memberships_role"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.tenant} ({self.role})"


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def usable(self) -> Self:
        """Neither revoked nor expired."""
        unexpired = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
        return self.filter(unexpired, revoked_at=None)


class ApiToken(models.Model):
    """A program's key to the API: `hm_<token_id>_<secret>`. Only the hash of the secret is kept."""

    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, help_text="What uses it, such as “CI” or “Grafana”.")
    token_id = models.CharField(max_length=32, unique=True, editable=False)
    # Plain SHA-256: a secret of 256 random bits cannot be guessed, so a slow hash buys nothing.
    secret_hash = models.CharField(max_length=64, editable=False)
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.VIEWER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    # The token bucket as one instant: when it will be full again. See rate_limit.py.
    bucket_full_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        db_table = "api_tokens"
        ordering = ["-created_at"]
        verbose_name = "API token"
        indexes = [models.Index(fields=["tenant", "-created_at"], name="api_tokens_tenant")]
        constraints = [
            models.CheckConstraint(condition=Q(role__in=Role.values), name="api_tokens_role"),
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.plain_text = ""  # filled once, by create_token; never stored

    def __str__(self) -> str:
        return f"{self.name} (hm_{self.token_id}_…)"

    def __getstate__(self) -> dict[str, Any]:
        # What is pickled (a cache, a queue) must not carry the secret.
        return {**super().__getstate__(), "plain_text": ""}

    def is_usable(self, now: datetime | None = None) -> bool:
        """Neither revoked nor expired at `now`."""
        unexpired = self.expires_at is None or self.expires_at > (now or timezone.now())
        return unexpired and self.revoked_at is None
