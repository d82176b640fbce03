"""What the monitors app offers to the kernel."""

from __future__ import annotations

from datetime import timedelta

from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.registry import AppRegistry, Drain, Metric, Retention, Schedule

REGISTRY = AppRegistry(
    drains=(
        Drain(
            name="monitor_checks",
            lane=Lane.DEFAULT,
            has_due="monitors.tasks.has_due_checks",
            run="monitors.tasks.drain_checks",
            priority=20,
        ),
    ),
    schedules=(
        Schedule(
            name="health_check",
            run="monitors.tasks.sum_up_checks",
            cron="* * * * * */30",
            lane=Lane.DEFAULT,
            setting="HEALTH_CHECK_SCHEDULE",
            description="Sums up the checks since its last run, and finds what nobody rang for.",
        ),
        Schedule(
            name="ssl_check",
            run="monitors.tasks.sum_up_certificates",
            cron="*/5 * * * * 0",
            lane=Lane.DEFAULT,
            setting="SSL_CHECK_SCHEDULE",
            description="Sums up the looks at certificates since its last run.",
        ),
        Schedule(
            name="monitor_rollups",
            run="monitors.rollups.roll_up",
            cron="*/5 * * * * 40",
            lane=Lane.DEFAULT,
            description="Folds the checks of closed hours and days, and reckons uptime.",
        ),
    ),
    metrics=(
        Metric(
            "monitor_checks_total",
            "Checks by result; dropped ones lost their lease or were edited meanwhile.",
            ("result",),
        ),
        Metric(
            "monitor_checks_refused_total",
            "Checks whose destination is not allowed, such as a private address.",
        ),
        Metric(
            "monitor_lag_seconds",
            "How much later than due a check was claimed.",
            type="histogram",
        ),
    ),
    retention=(
        Retention("monitors.SetAsideCheck", "set_aside_at", keep=timedelta(hours=48)),
        Retention("monitors.MonitorCheck", "checked_at", keep=timedelta(hours=48)),
        Retention(
            "monitors.MonitorRollup", "bucket", keep=timedelta(days=14), only={"period": "5m"}
        ),
        Retention(
            "monitors.MonitorRollup", "bucket", keep=timedelta(days=400), only={"period": "1h"}
        ),
    ),
)
