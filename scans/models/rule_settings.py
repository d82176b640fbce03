"""What a tenant, or one account of it, wants a saving rule to do otherwise."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone

from scans.models.owned import OwnedQuerySet, fill_tenant


class RuleSetting(models.Model):
    """One rule switched off or on, or with other thresholds. Without an account it holds for all
    accounts of the tenant; an account's own comes before it, parameter by parameter."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", models.CASCADE, related_name="+")
    account = models.ForeignKey(
        "scans.Account",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="rule_settings",
        help_text="Empty: all accounts of the tenant.",
    )
    rule = models.CharField(max_length=60)
    enabled = models.BooleanField(default=True)
    params = models.JSONField(
        "parameters",
        default=dict,
        blank=True,
        help_text='Only what differs from the rule\'s own, e.g. {"min_age_days": 3}.',
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        db_table = "rule_settings"
        ordering = ["rule", "account"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "rule"],
                condition=Q(account__isnull=False),
                name="rule_settings_account_unique",
            ),
            models.UniqueConstraint(
                fields=["tenant", "rule"],
                condition=Q(account__isnull=True),
                name="rule_settings_tenant_unique",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rule} of {self.account}" if self.account else f"{self.rule} everywhere"

    def save(self, *args: Any, **kwargs: Any) -> None:
        fill_tenant(self)
        super().save(*args, **kwargs)
