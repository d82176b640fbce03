"""An AWS account, how we get into it, and whether we may."""

from __future__ import annotations

import secrets
import uuid

from django.db import models
from django.utils import timezone

from hostmaster.core.fields import SealedTextField
from hostmaster.core.state import StateMachine


def new_external_id() -> str:
    """Ours, random, never chosen by a customer: else one could name another's role as his own."""
    return f"hm-{secrets.token_urlsafe(24)}"


class AccountStatus(models.TextChoices):
    PENDING = "pending", "Pending"  # added, access not proved yet
    CONNECTED = "connected", "Connected"  # access proved, nothing discovered yet
    ACTIVE = "active", "Active"  # discovered; a transient failure never leaves this
    FAILED = "failed", "Failed"  # AWS refuses our credentials: `status_reason` says how


class AccountQuerySet(models.QuerySet["Account"]):
    """Questions about many accounts."""

    def usable(self) -> AccountQuerySet:
        """AWS let us in when we last tried."""
        return self.filter(status__in=[AccountStatus.CONNECTED, AccountStatus.ACTIVE])


class Account(StateMachine):
    """pending → connected → active; pending, connected, active → failed; failed → connected.

    Dashboards read the statuses by these exact words.
    """

    Status = AccountStatus
    STATE_FIELD = "status"
    TRANSITIONS = {
        AccountStatus.PENDING: frozenset({AccountStatus.CONNECTED, AccountStatus.FAILED}),
        AccountStatus.CONNECTED: frozenset({AccountStatus.ACTIVE, AccountStatus.FAILED}),
        AccountStatus.FAILED: frozenset({AccountStatus.CONNECTED}),
        AccountStatus.ACTIVE: frozenset({AccountStatus.FAILED}),
    }

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", models.CASCADE, related_name="accounts")
    name = models.CharField(max_length=100)
    aws_account_id = models.CharField(
        "AWS account",
        max_length=12,
        blank=True,
        default="",
        help_text="Twelve digits; filled in when access is proved.",
    )
    role_arn = models.CharField("role ARN", max_length=2048, blank=True, default="")
    external_id = models.CharField(
        "external ID",
        max_length=64,
        default=new_external_id,
        editable=False,
        help_text="The role's trust policy must demand it.",
    )
    credentials_sealed = SealedTextField()
    regions = models.JSONField(
        default=list, blank=True, help_text="Empty: every region enabled in the account."
    )
    status = models.CharField(
        max_length=20,
        choices=AccountStatus.choices,
        default=AccountStatus.PENDING,
        editable=False,
    )
    status_reason = models.TextField(blank=True, default="", editable=False)
    trust_warning = models.TextField(
        blank=True,
        default="",
        editable=False,
        help_text="What is unsafe about the role's trust policy, as it was when last connected.",
    )
    permissions = models.JSONField(
        default=list,
        blank=True,
        editable=False,
        help_text="What each permission came to when last connected.",
    )
    is_simulated = models.BooleanField(
        "simulated",
        default=False,
        help_text="Lives in the local AWS simulator; costs nobody money.",
    )
    cache_generation = models.PositiveIntegerField(
        default=0,
        editable=False,
        help_text="Raised by each scan: figures cached under it are over.",
    )
    last_scan_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = AccountQuerySet.as_manager()

    class Meta:
        db_table = "accounts"
        ordering = ["name", "pk"]
        indexes = [
            models.Index(fields=["tenant", "status"], name="accounts_tenant_status"),
            models.Index(fields=["aws_account_id"], name="accounts_aws_account"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="accounts_name_unique"),
            models.CheckConstraint(
                condition=models.Q(status__in=AccountStatus.values), name="accounts_status_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<Account {self.pk} {self.name!r} {self.status}>"

    @property
    def auth(self) -> str:
        """How we get in: `role`, `keys`, or `none` (only by credentials given with a scan)."""
        if self.role_arn:
            return "role"
        return "keys" if self.credentials_sealed else "none"

    @property
    def is_usable(self) -> bool:
        """AWS let us in when we last tried."""
        return self.status in {AccountStatus.CONNECTED, AccountStatus.ACTIVE}
