"""How each lane's queue fares, for the queue page and for `manage.py queue_stats`.

Two queries a job model and one for the workers, whatever the number of jobs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Q
from django.utils import timezone

from hostmaster.core.clock import DatabaseNow
from hostmaster.core.health.gauges import live_workers
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.jobs.models import DurableJob
from hostmaster.core.metrics.gauges import all_jobs, by_kind, job_models, kinds_of, lane_of

WINDOW = timedelta(hours=24)
# The customer's measure of when to start another worker.
LONG_QUEUE, LONG_WAIT_SECONDS = 100, 300.0


@dataclass
class LaneStats:
    """The jobs of one lane. `waiting` counts retries that are not due yet; `due` does not."""

    lane: str
    waiting: int = 0
    due: int = 0
    active: int = 0
    completed_24h: int = 0
    failed_24h: int = 0  # those revived since are waiting again
    dead: int = 0
    oldest_wait_seconds: float | None = None  # of a due job; `None`: nobody waits
    workers: int = 0
    models: list[str] = field(default_factory=list)  # labels of the job models it works off

    @property
    def advice(self) -> str:
        """What to do, when work waits that nobody gets done."""
        if not self.due:
            return ""
        if not self.workers:
            return f"Nobody works here. Start manage.py qcluster --lane {self.lane}."
        if self.due > LONG_QUEUE or (self.oldest_wait_seconds or 0) > LONG_WAIT_SECONDS:
            return f"Work comes in faster than it is done. Add a qcluster --lane {self.lane}."
        return ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def queue_stats() -> list[LaneStats]:
    """One for each lane, those without a job included."""
    stats = {lane.value: LaneStats(lane.value) for lane in Lane}
    now = timezone.now()
    for model in job_models():
        _note_models(stats, model)
        _count_present(stats, model, now)
        _count_finished(stats, model, now - WINDOW)
    for lane, workers in Counter(live_workers().values_list("lane", flat=True)).items():
        if lane in stats:
            stats[lane].workers = workers
    return list(stats.values())


def _note_models(stats: dict[str, LaneStats], model: type[DurableJob]) -> None:
    for lane in sorted({lane_of(model, kind) for kind in kinds_of(model)}):
        if lane in stats:
            stats[lane].models.append(model._meta.label)


def _count_present(stats: dict[str, LaneStats], model: type[DurableJob], now: datetime) -> None:
    """Everything open or dead, by kind and state, and how long the oldest has been due."""
    is_due = Q(run_at__lte=DatabaseNow())
    present = all_jobs(model).in_states(model.open_states() | model.DEAD_STATES)
    rows = by_kind(present, model.STATE_FIELD).annotate(
        jobs=Count("pk"), due=Count("pk", filter=is_due), since=Min("run_at", filter=is_due)
    )
    for row in rows:
        lane = stats.get(lane_of(model, row["job_kind"]))
        if lane is None:
            continue
        state, jobs = row[model.STATE_FIELD], row["jobs"]
        if state in model.DEAD_STATES:
            lane.dead += jobs
        elif state in model.RUNNING_STATES:
            lane.active += jobs
        else:
            lane.waiting += jobs
            lane.due += row["due"]
            _note_wait(lane, row["since"], now)


def _note_wait(lane: LaneStats, since: datetime | None, now: datetime) -> None:
    if since is not None:
        seconds = round(max((now - since).total_seconds(), 0.0), 1)
        lane.oldest_wait_seconds = max(seconds, lane.oldest_wait_seconds or 0.0)


def _count_finished(stats: dict[str, LaneStats], model: type[DurableJob], since: datetime) -> None:
    over = model.DEAD_STATES | {model.DONE_STATE}
    finished = all_jobs(model).in_states(over).filter(finished_at__gte=since)
    for row in by_kind(finished, model.STATE_FIELD).annotate(jobs=Count("pk")):
        lane = stats.get(lane_of(model, row["job_kind"]))
        if lane is None:
            continue
        if row[model.STATE_FIELD] == model.DONE_STATE:
            lane.completed_24h += row["jobs"]
        else:
            lane.failed_24h += row["jobs"]
