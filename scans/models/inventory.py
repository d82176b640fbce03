"""What an account holds, as the last successful look saw it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from scans.models.owned import AccountOwned, OwnedQuerySet


class InventoryQuerySet(OwnedQuerySet):
    """Questions about many things in accounts."""

    def present(self) -> InventoryQuerySet:
        """Seen by the last successful look at their region."""
        return self.filter(gone_at__isnull=True)


class InventoryItem(AccountOwned):
    """One thing in one region of an account. `gone_at`: a look that succeeded no longer saw it."""

    region = models.CharField(max_length=40)
    resource_id = models.CharField(max_length=255)
    name = models.CharField(max_length=255, blank=True, default="")
    state = models.CharField(max_length=40, blank=True, default="")
    state_since = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When a scan first saw it in this state; empty: it was never seen in another.",
    )
    tags = models.JSONField(default=dict, blank=True)
    spec = models.JSONField(default=dict, blank=True, help_text="What only this kind of thing has.")
    monthly_cost_usd = models.DecimalField(
        "USD a month",
        max_digits=14,
        decimal_places=4,
        null=True,
        blank=True,
        help_text="At list price; empty: unknown.",
    )
    first_seen_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(default=timezone.now)
    gone_at = models.DateTimeField(null=True, blank=True)
    last_job = models.ForeignKey(
        "scans.ScanJob", models.SET_NULL, null=True, blank=True, related_name="+"
    )

    objects = InventoryQuerySet.as_manager()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name or self.resource_id

    @property
    def is_gone(self) -> bool:
        return self.gone_at is not None


class Instance(InventoryItem):
    """An EC2 instance."""

    instance_type = models.CharField(max_length=40, blank=True, default="")
    lifecycle = models.CharField(max_length=40, blank=True, default="on-demand")
    availability_zone = models.CharField(max_length=40, blank=True, default="")
    platform = models.CharField(max_length=60, blank=True, default="")
    launched_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "instances"
        ordering = ["account", "region", "resource_id"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "region", "resource_id"], name="instances_unique"
            )
        ]
        indexes = [
            models.Index(fields=["tenant", "gone_at"], name="instances_tenant"),
            models.Index(fields=["account", "region", "last_seen_at"], name="instances_stale"),
            models.Index(
                fields=["account", "-monthly_cost_usd"],
                condition=Q(gone_at__isnull=True),
                name="instances_cost",
            ),
        ]


class Resource(InventoryItem):
    """Anything that is not an EC2 instance; `kind` says what, e.g. `ebs_volume`."""

    kind = models.CharField(max_length=40)

    class Meta:
        db_table = "resources"
        ordering = ["account", "kind", "region", "resource_id"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "region", "kind", "resource_id"], name="resources_unique"
            )
        ]
        indexes = [
            models.Index(fields=["tenant", "kind", "gone_at"], name="resources_tenant"),
            models.Index(
                fields=["account", "kind", "region", "last_seen_at"], name="resources_stale"
            ),
            models.Index(
                fields=["account", "-monthly_cost_usd"],
                condition=Q(gone_at__isnull=True),
                name="resources_cost",
            ),
        ]
