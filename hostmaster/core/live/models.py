"""What is told to browsers: one row an event, kept for a while so that a stream can resume."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class LiveEvent(models.Model):
    """One thing that changed, as a page of its tenant wants to hear of it."""

    tenant = models.ForeignKey("tenants.Tenant", models.CASCADE, related_name="+")
    topic = models.CharField(max_length=50, help_text="What it is about, such as “incident”.")
    data = models.JSONField(default=dict)
    at = models.DateTimeField(db_default=Now())  # one clock for all that write and read

    class Meta:
        db_table = "live_events"
        ordering = ["pk"]
        indexes = [models.Index(fields=["at"], name="live_events_at")]

    def __str__(self) -> str:
        return f"{self.topic} {self.pk}"
