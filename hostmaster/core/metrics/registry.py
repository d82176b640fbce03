"""What the kernel measures."""

from __future__ import annotations

from hostmaster.core.registry import AppRegistry, Metric

_GAUGES = "hostmaster.core.metrics.gauges"

REGISTRY = AppRegistry(
    metrics=(
        Metric("jobs_processed_total", "Jobs settled for good, done or dead.", ("kind",)),
        Metric("jobs_failed_total", "Attempts of jobs that failed, retried or not.", ("kind",)),
        Metric(
            "job_duration_seconds",
            "From the claim of a job to its settling.",
            ("kind",),
            type="histogram",
        ),
        Metric(
            "queue_depth",
            "Jobs that are not final.",
            ("lane", "kind", "state"),
            type="gauge",
            read=f"{_GAUGES}.queue_depth",
        ),
        Metric(
            "queue_oldest_due_seconds",
            "How long the oldest due job has been waiting; 0 when none is due.",
            ("lane",),
            type="gauge",
            read=f"{_GAUGES}.queue_oldest_due_seconds",
        ),
        Metric(
            "dead_letters",
            "Jobs that failed for good and await a person.",
            ("kind",),
            type="gauge",
            read=f"{_GAUGES}.dead_letters",
        ),
    )
)
