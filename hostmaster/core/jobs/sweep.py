"""The sweep: finds by itself what lost doorbells and dead workers left behind. Each second."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db.models import QuerySet

from hostmaster.core.jobs import doorbells, engine
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.jobs.models import DurableJob, DurableJobQuerySet
from hostmaster.core.registry import get_registry

BATCH = 200  # rows looked at in one round; the next round is a second away


def sweep(lane: Lane) -> None:
    """One round for the jobs of one lane: settle expired leases, ring for what is due."""
    expire_leases(lane)
    ring_due(lane)


def expire_leases(lane: Lane) -> int:
    """Settle attempts whose worker died, hung past its deadline or was cut off."""
    return sum(engine.expire(job) for jobs in lane_jobs(lane) for job in jobs.expired()[:BATCH])


def ring_due(lane: Lane) -> int:
    """Ring for due rows that no message in the queue may already stand for.

    The queue's depth is the brake: with as many messages waiting as rows are due, each row is
    likely rung, and a row rung twice is claimed once.
    """
    due: list[tuple[str, str, str]] = []
    for jobs in lane_jobs(lane):
        label = jobs.model._meta.label
        due += [(label, str(job.pk), job.kind_name()) for job in _oldest_due(jobs)]
    if not due:
        return 0
    free = len(due) - doorbells.lane_depth(lane)
    for label, pk, kind in due[: max(free, 0)]:
        doorbells.send_job(label, pk, kind)
    return max(free, 0)


def lane_jobs(lane: Lane) -> list[DurableJobQuerySet]:
    """For each job model with kinds in this lane: its rows of those kinds."""
    registry = get_registry()
    found: list[DurableJobQuerySet] = []
    for label in registry.job_models(lane):
        model: Any = apps.get_model(label)
        kinds = [k.kind for k in registry.jobs.values() if k.model == label and k.lane == lane]
        jobs = DurableJobQuerySet(model)
        found.append(jobs.filter(kind__in=kinds) if _has_kinds(model) else jobs)
    return found


def _has_kinds(model: type[DurableJob]) -> bool:
    return any(field.name == "kind" for field in model._meta.get_fields())


def _oldest_due(jobs: DurableJobQuerySet) -> QuerySet[Any]:
    columns = ["pk", "kind"] if _has_kinds(jobs.model) else ["pk"]
    return jobs.due().order_by("run_at").only(*columns)[:BATCH]
