from __future__ import annotations

from django.apps import AppConfig

from hostmaster.core.registry import get_registry


class JobsConfig(AppConfig):
    name = "hostmaster.core.jobs"
    label = "jobs"
    verbose_name = "Jobs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        get_registry()  # a name registered twice is to stop the start, not the first use
