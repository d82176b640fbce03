"""Rules over facts, incidents, and notifications that are never lost."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_save, pre_delete


class AlertsConfig(AppConfig):
    name = "alerts"
    verbose_name = "Alerts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from alerts import receivers

        post_save.connect(receivers.give_default_rules, sender="tenants.Tenant")
        pre_delete.connect(receivers.end_incidents_of_monitor, sender="monitors.Monitor")
