from __future__ import annotations

from django.apps import AppConfig


class KernelAppConfig(AppConfig):
    name = "tests.kernel_app"
    default_auto_field = "django.db.models.BigAutoField"
