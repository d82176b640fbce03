"""What the alerts app offers to the kernel."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings

from hostmaster.core.jobs.doorbells import ALERTS_EVALUATE
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.registry import (
    AppRegistry,
    Doorbell,
    Drain,
    JobKind,
    Metric,
    Retention,
    Schedule,
)

KEEP_NOTIFICATIONS = timedelta(days=90)


def notification_drains() -> int:
    """Tasks that deliver at once: one worker of the lane stays free to judge rules."""
    return max(1, settings.LANE_SIZES[Lane.ALERTS].workers - 1)


REGISTRY = AppRegistry(
    jobs=(
        JobKind(
            model="alerts.Notification",
            kind="notification",
            handler="",
            drain="notifications",
            lane=Lane.ALERTS,
            deadline=timedelta(seconds=60),
        ),
    ),
    drains=(
        Drain(
            name="notifications",
            lane=Lane.ALERTS,
            has_due="alerts.delivery.has_due",
            run="alerts.delivery.drain",
            priority=10,
            concurrency=notification_drains,
        ),
    ),
    doorbells=(Doorbell(name=ALERTS_EVALUATE, task="alerts.tasks.evaluate", lane=Lane.ALERTS),),
    schedules=(
        Schedule(
            name="alert_evaluator",
            run="alerts.tasks.run_alert_evaluator",
            cron="* * * * * 0",
            lane=Lane.ALERTS,
            setting="ALERT_EVALUATION_SCHEDULE",
            description="Judges all alert rules; a change of facts has them judged at once.",
        ),
        Schedule(
            name="notification",
            run="alerts.delivery.run_notification",
            cron="* * * * * */30",
            lane=Lane.ALERTS,
            setting="NOTIFICATION_SCHEDULE",
            description="Delivers what no doorbell brought; sums up what was sent since.",
        ),
    ),
    metrics=(
        Metric("notifications_total", "Tries to deliver notifications.", ("type", "result")),
        Metric(
            "notification_latency_seconds",
            "From the change of an incident until its message goes out.",
            type="histogram",
        ),
        Metric("alert_evaluation_seconds", "How long judging the rules took.", type="histogram"),
    ),
    retention=(
        Retention("alerts.Notification", "finished_at", keep=KEEP_NOTIFICATIONS),
        Retention("alerts.DeliveryAttempt", "started_at", keep=KEEP_NOTIFICATIONS),
    ),
)
