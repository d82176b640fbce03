from __future__ import annotations

from django.apps import AppConfig


class HealthConfig(AppConfig):
    name = "hostmaster.core.health"
    label = "health"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django_q.signals import post_execute_in_worker, post_spawn

        from hostmaster.core.health import heartbeats

        post_spawn.connect(heartbeats.on_worker_start, dispatch_uid="heartbeat-start")
        post_execute_in_worker.connect(heartbeats.on_task_done, dispatch_uid="heartbeat-count")
