"""Gauges about the rows of jobs, one GROUP BY a job model, read at each scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db.models import Count, F, Min, QuerySet, Value
from django.utils import timezone

from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.jobs.models import DurableJob, DurableJobQuerySet
from hostmaster.core.registry import get_registry

Sample = tuple[dict[str, str], float]


def queue_depth() -> Iterator[Sample]:
    """Open jobs by lane, kind and state; final ones would grow with the table.

    Every registered kind has its waiting state, 0 included, so a scaler finds the series.
    """
    depths: Counter[tuple[str, str, str]] = Counter()
    for model in job_models():
        for kind in kinds_of(model):
            depths[lane_of(model, kind), kind, str(model.WAITING_STATE)] += 0
        rows = by_kind(all_jobs(model).open(), model.STATE_FIELD).annotate(jobs=Count("pk"))
        for row in rows:
            lane = lane_of(model, row["job_kind"])
            depths[lane, row["job_kind"], row[model.STATE_FIELD]] += row["jobs"]
    for (lane, kind, state), depth in sorted(depths.items()):
        yield {"lane": lane, "kind": kind, "state": state}, depth


def queue_oldest_due_seconds() -> Iterator[Sample]:
    now = timezone.now()
    oldest = oldest_due()
    for lane in Lane:
        since = oldest.get(lane.value, now)
        yield {"lane": lane.value}, max((now - since).total_seconds(), 0.0)


def dead_letters() -> Iterator[Sample]:
    dead: Counter[str] = Counter()
    for model in job_models():
        dead.update(dict.fromkeys(kinds_of(model), 0))
        for row in by_kind(all_jobs(model).dead()).annotate(jobs=Count("pk")):
            dead[row["job_kind"]] += row["jobs"]
    for kind, jobs in sorted(dead.items()):
        yield {"kind": kind}, jobs


def oldest_due() -> dict[str, datetime]:
    """By lane, since when its longest waiting due job has been due; no entry for a lane without."""
    oldest: dict[str, datetime] = {}
    for model in job_models():
        for row in by_kind(all_jobs(model).due()).annotate(since=Min("run_at")):
            if row["since"] is None:
                continue  # of a model without kinds: one group, though nothing is in it
            lane = lane_of(model, row["job_kind"])
            oldest[lane] = min(row["since"], oldest.get(lane, row["since"]))
    return oldest


def job_models() -> list[type[DurableJob]]:
    return [apps.get_model(label) for label in get_registry().job_models()]


def all_jobs(model: type[DurableJob]) -> DurableJobQuerySet:
    return DurableJobQuerySet(model)


def kinds_of(model: type[DurableJob]) -> list[str]:
    label = model._meta.label_lower
    return sorted(kind for (name, kind) in get_registry().jobs if name == label)


def lane_of(model: type[DurableJob], kind: str) -> str:
    """The lane that works this kind off; `none` for rows of a kind nobody registers any more."""
    found = get_registry().jobs.get((model._meta.label_lower, kind))
    return found.lane.value if found else "none"


def by_kind(jobs: DurableJobQuerySet, *columns: str) -> QuerySet[Any, dict[str, Any]]:
    """`jobs` grouped by kind and `columns`; a model without a `kind` column is one kind."""
    model = jobs.model
    kind = F("kind") if model.has_kinds() else Value(str(model._meta.model_name))
    return jobs.order_by().values(*columns, job_kind=kind)
