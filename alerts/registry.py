"""What the alerts app offers to the kernel."""

from __future__ import annotations

from hostmaster.core.jobs.doorbells import ALERTS_EVALUATE
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.registry import AppRegistry, Doorbell, Metric, Schedule

REGISTRY = AppRegistry(
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
    ),
    metrics=(
        Metric("alert_evaluation_seconds", "How long judging the rules took.", type="histogram"),
    ),
)
