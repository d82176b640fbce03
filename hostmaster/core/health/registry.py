"""What health offers to the kernel: its components, the monitor's schedule, gauges, retention."""

from __future__ import annotations

from datetime import timedelta

from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.registry import AppRegistry, HealthCheck, Metric, Retention, Schedule

_COMPONENTS = "hostmaster.core.health.components"
_GAUGES = "hostmaster.core.health.gauges"


def _gauge(name: str, help_text: str, *labels: str) -> Metric:
    return Metric(name, help_text, labels, type="gauge", read=f"{_GAUGES}.{name}")


REGISTRY = AppRegistry(
    health_checks=(
        HealthCheck("database", f"{_COMPONENTS}.check_database"),
        HealthCheck("queue", f"{_COMPONENTS}.check_queue"),
        HealthCheck("workers", f"{_COMPONENTS}.check_workers"),
    ),
    schedules=(
        Schedule(
            name="component_health",
            run="hostmaster.core.health.monitor.run_component_health",
            cron="* * * * * */30",
            lane=Lane.ALERTS,
            setting="COMPONENT_HEALTH_SCHEDULE",
            description="Checks each component of the system and records its changes.",
        ),
    ),
    metrics=(
        _gauge("workers_up", "Workers that beat their heart lately.", "lane"),
        _gauge("worker_rss_bytes", "Resident memory of a worker.", "lane", "worker"),
        _gauge("worker_cpu_seconds", "CPU time a worker has used.", "lane", "worker"),
        _gauge("worker_jobs_done", "Messages a worker has worked off.", "lane", "worker"),
        _gauge("component_status", "1 for the status of a component.", "component", "status"),
    ),
    retention=(
        Retention("health.SystemLog", "timestamp", timedelta(days=90)),
        Retention("health.Heartbeat", "beat_at", timedelta(hours=1)),
    ),
)
