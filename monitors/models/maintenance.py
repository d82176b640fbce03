"""Times in which a monitor may fail without anybody being called."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.db import models
from django.db.models import Q

from hostmaster.core.state import VersionedModel


class MaintenanceWindow(VersionedModel):
    """Once, or again and again by an RRULE, in local time of an IANA zone.

    It holds for all monitors of the tenant, for those named, and for those that bear one of the
    tags. `starts_at` is an instant; a rule repeats its wall-clock time in `timezone`, so 02:00
    stays 02:00 through both changes of the clock.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", models.CASCADE, related_name="maintenance_windows")
    name = models.CharField(max_length=200)
    is_for_all = models.BooleanField("all monitors", default=False)
    monitors = models.ManyToManyField(
        "monitors.Monitor", blank=True, related_name="maintenance_windows"
    )
    tags = models.JSONField(default=list, blank=True)
    starts_at = models.DateTimeField()
    duration = models.DurationField(default=timedelta(hours=1))
    rrule = models.CharField(
        "RRULE",
        max_length=500,
        blank=True,
        default="",
        help_text="Such as “FREQ=WEEKLY;BYDAY=SU”; empty: once.",
    )
    timezone = models.CharField("time zone", max_length=64, default="UTC")
    enabled = models.BooleanField(default=True)
    external_id = models.CharField(
        max_length=200,
        blank=True,
        default="",
        help_text="Its name in configuration as code.",
    )

    class Meta:
        db_table = "maintenance_windows"
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "external_id"],
                condition=~Q(external_id=""),
                name="maintenance_windows_external_id",
            ),
            models.CheckConstraint(
                condition=Q(duration__gt=timedelta()), name="maintenance_windows_duration"
            ),
        ]

    def __str__(self) -> str:
        return self.name
