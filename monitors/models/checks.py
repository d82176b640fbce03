"""Results, one row a check: the customer's columns, and the phases beside them."""

from __future__ import annotations

import os
import time
import uuid

from django.db import models
from django.db.models.functions import Now


def uuid7() -> uuid.UUID:
    """A time-ordered UUID (RFC 9562): new rows land at the end of the primary key's index."""
    return uuid.UUID(int=uuid7_number())


def uuid7_number() -> int:
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | (0x7 << 76)
    return value & ~(0x3 << 62) | (0x2 << 62)


class MonitorCheck(models.Model):
    """One check, kept 48 h. Rows that other programs insert count like ours.

    What we need beyond the customer's columns may be null. `success` null does not exist: a check
    spoilt by our own outage is a failed one whose `error_code` is `own_outage`.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    monitor = models.ForeignKey(
        "monitors.Monitor", models.CASCADE, related_name="checks", db_index=False
    )
    checked_at = models.DateTimeField()
    status_code = models.IntegerField(null=True, blank=True)
    response_time_ms = models.IntegerField(null=True, blank=True)
    ssl_valid = models.BooleanField(null=True, blank=True)
    ssl_expires_at = models.DateTimeField(null=True, blank=True)
    error_message = models.TextField(null=True, blank=True)
    success = models.BooleanField()
    created_at = models.DateTimeField(db_default=Now())
    error_code = models.CharField(max_length=30, null=True, blank=True)
    dns_ms = models.IntegerField(null=True, blank=True)
    connect_ms = models.IntegerField(null=True, blank=True)
    tls_ms = models.IntegerField(null=True, blank=True)
    ttfb_ms = models.IntegerField(null=True, blank=True)
    transfer_ms = models.IntegerField(null=True, blank=True)

    class Meta:
        db_table = "monitor_checks"
        ordering = ["-checked_at"]
        indexes = [
            models.Index(fields=["monitor", "-checked_at"], name="monitor_checks_monitor"),
            # For pruning and the summaries; appended to at its end, so cheap.
            models.Index(fields=["checked_at"], name="monitor_checks_checked_at"),
        ]

    def __str__(self) -> str:
        return f"{self.monitor_id} at {self.checked_at:%Y-%m-%d %H:%M:%S}"


class SetAsideCheck(models.Model):
    """A row that another program wrote into SQLite's `monitor_checks` and nobody can read, taken
    out by a trigger (migration 0002) until it is told of. PostgreSQL takes no such row."""

    column_name = models.TextField()
    value = models.TextField(null=True)
    check_id = models.TextField()  # these two as they were written
    monitor_id = models.TextField()
    error_message = models.TextField(null=True)
    set_aside_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "monitor_checks_set_aside"

    def __str__(self) -> str:
        return f"{self.check_id}: {self.column_name}"
