"""What the job kernel itself offers: pruning, and how long its own rows are kept."""

from __future__ import annotations

from datetime import timedelta

from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.registry import AppRegistry, Retention, Schedule

REGISTRY = AppRegistry(
    schedules=(
        Schedule(
            name="prune",
            run="hostmaster.core.jobs.retention.prune",
            cron="7 * * * * 0",
            lane=Lane.DEFAULT,
            description="Deletes rows that are older than they are kept.",
        ),
    ),
    retention=(
        Retention("jobs.JobEvent", "at", keep=timedelta(days=90)),
        Retention("jobs.Lease", "until", keep=timedelta(days=1)),
        # django-q2 keeps failed messages; the rows they rang for have the whole story.
        Retention("django_q.Task", "stopped", keep=timedelta(days=7)),
    ),
)
