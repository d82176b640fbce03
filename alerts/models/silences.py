"""Times in which a person wants not to be told."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from hostmaster.core.state import VersionedModel


class SilenceQuerySet(models.QuerySet["Silence"]):
    """Questions about many silences."""

    def active(self, at: datetime) -> Self:
        ended = Q(ended_at__isnull=True) | Q(ended_at__gt=at)
        return self.filter(ended, starts_at__lte=at, until__gt=at)


class Silence(VersionedModel):
    """Until then nobody is told of incidents of this monitor, this rule, monitors that bear one of
    these tags, or (none of them named) of the whole tenant. What is named must all match."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", models.CASCADE, related_name="silences")
    reason = models.CharField(max_length=500)
    starts_at = models.DateTimeField(default=timezone.now)
    until = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True, help_text="Ended early by a person.")
    monitor = models.ForeignKey(
        "monitors.Monitor", models.CASCADE, null=True, blank=True, related_name="silences"
    )
    rule = models.ForeignKey(
        "alerts.AlertRule", models.CASCADE, null=True, blank=True, related_name="silences"
    )
    tags = models.JSONField(default=list, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = SilenceQuerySet.as_manager()

    class Meta:
        db_table = "silences"
        ordering = ["-created_at", "pk"]
        indexes = [models.Index(fields=["tenant", "until"], name="silences_tenant_until")]
        constraints = [
            models.CheckConstraint(
                condition=Q(until__gt=models.F("starts_at")), name="silences_until_after_start"
            ),
        ]

    def __str__(self) -> str:
        return self.reason

    def covers(
        self, *, monitor_id: uuid.UUID | None, rule_id: uuid.UUID, tags: Collection[str]
    ) -> bool:
        """It is about incidents of this rule and monitor, which bears `tags`."""
        if self.monitor_id is not None and self.monitor_id != monitor_id:
            return False
        if self.rule_id is not None and self.rule_id != rule_id:
            return False
        return not self.tags or not set(self.tags).isdisjoint(tags)

    def is_active(self, at: datetime) -> bool:
        ends_at = min(self.until, self.ended_at) if self.ended_at else self.until
        return self.starts_at <= at < ends_at
