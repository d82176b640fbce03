"""Live events: what changed, told to browsers as it happens."""

from __future__ import annotations

from django.apps import AppConfig


class LiveConfig(AppConfig):
    name = "hostmaster.core.live"
    label = "live"
    verbose_name = "Live events"
    default_auto_field = "django.db.models.BigAutoField"
