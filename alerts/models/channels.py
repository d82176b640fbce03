"""Where notifications go: a webhook, a Discord or Slack webhook, addresses of e-mail."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone

from hostmaster.core import crypto
from hostmaster.core.fields import SealedTextField
from hostmaster.core.state import VersionedModel


class ChannelType(models.TextChoices):
    WEBHOOK = "webhook", "Webhook"
    DISCORD = "discord", "Discord"
    SLACK = "slack", "Slack"
    EMAIL = "email", "E-mail"


class AlertChannel(VersionedModel):
    """One destination of a tenant. `config` is sealed: a webhook's URL is a secret.

    Sending keeps its own columns (from `next_send_at` on), written under the row's lock while
    notifications are claimed and settled; they leave `version` to people's edits.
    """

    Type = ChannelType

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", models.CASCADE, related_name="alert_channels")
    name = models.CharField(max_length=100)
    type = models.CharField(max_length=20, choices=ChannelType.choices)
    config_sealed = SealedTextField(db_column="config")
    enabled = models.BooleanField(default=True)
    is_grouped = models.BooleanField(
        "grouped",
        default=True,
        help_text="At most 3 messages in any 60 s; what waits beyond is told in one digest.",
    )
    disabled_reason = models.TextField(
        blank=True, default="", editable=False, help_text="Why it was switched off by itself."
    )
    previous_secret_until = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Until then webhooks are signed with the previous secret as well.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    next_send_at = models.DateTimeField(
        default=timezone.now,
        editable=False,
        help_text="Nothing is sent before: an open breaker, a server that asked us to wait, or "
        "three messages in this minute.",
    )
    recent_sends = models.JSONField(default=list, editable=False)  # seconds since 1970
    failures_in_row = models.PositiveIntegerField(default=0, editable=False)
    breaker_seconds = models.PositiveIntegerField(
        default=0, editable=False, help_text="How long the breaker stays open; 0: it is closed."
    )
    failing_since = models.DateTimeField(null=True, blank=True, editable=False)
    last_success_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_error = models.TextField(
        blank=True, default="", editable=False, help_text="Of the last try, if it failed."
    )

    class Meta:
        db_table = "alert_channels"
        ordering = ["name", "pk"]
        indexes = [models.Index(fields=["next_send_at"], name="alert_channels_next_send")]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="alert_channels_name_unique"),
            models.CheckConstraint(
                condition=Q(type__in=ChannelType.values), name="alert_channels_type_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<AlertChannel {self.pk} {self.name!r} {self.type}>"

    @property
    def config(self) -> dict[str, Any]:
        """Opened. It holds secrets: never to be shown, logged or copied into another row.

        Raises `SealError` when the key is gone.
        """
        if not self.config_sealed:
            return {}
        text = crypto.open(self.config_sealed, context=crypto.context_for(self, "config_sealed"))
        found: dict[str, Any] = json.loads(text)
        return found

    @config.setter
    def config(self, value: Mapping[str, Any]) -> None:
        context = crypto.context_for(self, "config_sealed")
        self.config_sealed = crypto.seal(json.dumps(dict(value)), context=context)

    @property
    def is_breaker_open(self) -> bool:
        return self.breaker_seconds > 0
