from __future__ import annotations

from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "hostmaster.site"
    label = "site"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from hostmaster import checks

        checks.register_all()
