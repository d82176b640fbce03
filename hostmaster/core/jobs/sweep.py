"""The sweep: finds by itself what lost doorbells and dead workers left behind. Each second."""

from __future__ import annotations

import logging
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple

from django.apps import apps
from django.db import Error

from hostmaster.core import logs
from hostmaster.core.jobs import doorbells, engine, leases
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.jobs.models import DurableJobQuerySet
from hostmaster.core.registry import JobKind, get_registry

logger = logging.getLogger(__name__)

BATCH = 200  # rows of a kind looked at in one round; the next round is a second away


class DueRow(NamedTuple):
    label: str
    pk: str
    kind: str
    run_at: datetime


def expire_leases(lane: Lane) -> int:
    """Settle attempts whose worker died, hung past its deadline or was cut off."""
    return sum(
        _expire(job)
        for kind in get_registry().lane_kinds(lane)
        for job in jobs_of(kind).expired()[:BATCH]
    )


def _expire(job: Any) -> bool:
    try:
        return engine.expire(job)
    except Error:
        raise  # the database's trouble is every row's
    except Exception as error:  # noqa: BLE001 one row's must not stop the lane
        logger.error("%s %s: %s", job._meta.label, job.pk, logs.exception_text(error))
        return False


def ring_due(lane: Lane) -> int:
    """Ring for due rows that no message in the queue may already stand for.

    The queue's depth is the brake: with as many messages waiting as rows are due, each row is
    likely rung, and a row rung twice is claimed once. Answers how many were rung.
    """
    due = sorted(due_rows(lane), key=attrgetter("run_at"))
    free = len(due) - doorbells.lane_depth(lane) if due else 0
    for row in due[: max(free, 0)]:
        doorbells.send_job(row.label, row.pk, row.kind)
    return max(free, 0)


def due_rows(lane: Lane) -> list[DueRow]:
    """The oldest due rows of each kind that this lane process may run now.

    A kind at its cap is left out: a bell for it would only be refused, and again each second.
    """
    found = []
    for kind in get_registry().lane_kinds(lane):
        oldest = jobs_of(kind).due().order_by("run_at").values_list("pk", "run_at")
        rows = oldest[: room_for(kind)]
        found += [DueRow(kind.model, str(pk), kind.kind, run_at) for pk, run_at in rows]
    return found


def room_for(kind: JobKind) -> int:
    """How many more of this kind to start: up to its cap in this lane process."""
    instance = leases.lane_instance()
    if kind.cap is None or not instance:
        return BATCH
    group = get_registry().cap_group(kind)
    running = sum(jobs_of(k).held_by_lane(instance).count() for k in group)
    return max(kind.cap() - running, 0)


def jobs_of(kind: JobKind) -> DurableJobQuerySet:
    """All rows of one kind."""
    return DurableJobQuerySet(apps.get_model(kind.model)).of_kind(kind.kind)
