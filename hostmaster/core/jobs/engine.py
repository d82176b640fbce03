"""The engine: claim → handler(job) → settle. The only place that decides a job's attempts."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import models, transaction
from django.db.models import Count, Q, Subquery, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import LessThan
from django.utils import timezone
from django_q.exceptions import TimeoutException

from hostmaster.core import logs
from hostmaster.core.clock import DatabaseNow, database_now
from hostmaster.core.jobs import stopping
from hostmaster.core.jobs.leases import Renewal, lane_instance, new_owner
from hostmaster.core.jobs.models import DurableJob, DurableJobQuerySet, LeaseLostError
from hostmaster.core.jobs.retry import PermanentError
from hostmaster.core.metrics import services as metrics
from hostmaster.core.registry import JobKind, get_registry, resolve

logger = logging.getLogger(__name__)


class DeadlinePassedError(Exception):
    """The job did not end within its time."""


class LeaseExpiredError(Exception):
    """The worker that ran this job died or was cut off: its lease ran out."""


def run_job(label: str, pk: str) -> bool:
    """What a job's doorbell calls in a lane. A bell for a job that is taken, final or not yet
    due does nothing; so does one that a stopping lane still had in its buffer. Answers whether
    it ran the job."""
    if stopping.is_stopping():
        return False
    model: type[models.Model] = apps.get_model(label)
    job = model._default_manager.filter(pk=pk).first()
    if not isinstance(job, DurableJob) or not claim(job):
        return False
    execute(job)
    return True


def create_claimed(job: DurableJob, *, actor: str = "") -> bool:
    """Insert `job`, claimed by this process before any worker can see it."""
    with transaction.atomic():
        job.save(force_insert=True)
        return claim(job, actor=actor, early=True)


def claim(job: DurableJob, *, actor: str = "", early: bool = False) -> bool:
    """Take a due job for this process: attempts +1, a lease, a deadline, in one guarded UPDATE.

    `early`: before its time too, by one who keeps that time himself.
    """
    kind = job.job_kind
    if job.current_state != job.WAITING_STATE or kind.drain:
        return False
    owner = new_owner()
    is_time = Q() if early else Q(run_at__lte=DatabaseNow())
    guard = is_time & _below_cap(job, kind)
    return job.take(
        guard,
        actor=actor or owner,
        attempts=job.attempts + 1,
        lease_owner=owner,
        lease_until=database_now(min(_lease(), kind.deadline)),
        deadline_at=database_now(kind.deadline),
        started_at=timezone.now(),
    )


def execute(job: DurableJob) -> None:
    """Run the handler of a claimed job outside any transaction, then settle what came of it."""
    started, owner = time.monotonic(), job.lease_owner
    error: BaseException
    try:
        with logs.log_context(job_id=job.pk, tenant=job.tenant_id):
            fields = _handle(job)
        finished = finish(job, fields, time.monotonic() - started)
    except stopping.StoppingError:
        _hand_back_interrupted(job, owner)
        return
    except LeaseLostError:
        _log_dropped(job)
        return
    except TimeoutException:  # django-q2's, a SystemExit: `except Exception` never sees it
        stopping.drop_connections()
        error = DeadlinePassedError(f"Not finished within {job.job_kind.deadline}.")
    except Exception as raised:
        logger.exception("%s %s failed", job._meta.label, job.pk)
        error = raised
    else:
        if not finished:
            _log_dropped(job)
        return
    job.refresh_from_db()  # a finish that was rolled back left its state on the instance
    if job.lease_owner != owner or not fail(job, error, time.monotonic() - started):
        _log_dropped(job)


def _handle(job: DurableJob) -> Mapping[str, Any]:
    kind = job.job_kind
    with _renewed(job, kind):
        return stopping.run_interruptible(partial(resolve(kind.handler), job)) or {}


def _hand_back_interrupted(job: DurableJob, owner: str) -> None:
    stopping.drop_connections()
    job.refresh_from_db()  # the row may have been written and the instance not, or reversely
    if job.lease_owner != owner or not hand_back(job):
        _log_dropped(job)


def _log_dropped(job: DurableJob) -> None:
    logger.warning("%s %s was taken away; its result is dropped", job._meta.label, job.pk)


def finish(job: DurableJob, fields: Mapping[str, Any], seconds: float) -> bool:
    """Settle a success together with its effects on other rows and its metrics."""
    with transaction.atomic():
        if not job.advance(job.DONE_STATE, actor=job.lease_owner, **fields):
            return False
        _after_settle(job, None)
        metrics.add(
            metrics.Increment("jobs_processed_total", {"kind": job.kind_name()}),
            *metrics.observe("job_duration_seconds", seconds, kind=job.kind_name()),
        )
    return True


def fail(job: DurableJob, error: BaseException, seconds: float | None = None) -> bool:
    """Settle a failed attempt by its holder: back to waiting, or dead when tried enough."""
    return _settle_failure(job, error, Q(lease_until__gt=DatabaseNow()), seconds)


def expire(job: DurableJob) -> bool:
    """Settle the attempt of a holder whose lease ran out. Nobody needs to be alive for it."""
    error: Exception = LeaseExpiredError(str(LeaseExpiredError.__doc__))
    if _reached_its_deadline(job):
        error = DeadlinePassedError(f"Not finished within {job.job_kind.deadline}.")
    return _settle_failure(job, error, Q(lease_until__lt=DatabaseNow()), None)


def _reached_its_deadline(job: DurableJob) -> bool:
    """Its holder renewed the lease to the end. Both instants are the database's."""
    if job.deadline_at is None or job.lease_until is None:
        return False
    return job.lease_until >= job.deadline_at - timedelta(seconds=1)


def hand_back(job: DurableJob) -> bool:
    """Return a job unfinished because its worker stops; the attempt does not count."""
    return job.take_from_holder(
        Q(lease_owner=job.lease_owner),
        job.WAITING_STATE,
        actor=job.lease_owner,
        reason="The worker stops; the attempt does not count.",
        attempts=max(job.attempts - 1, 0),
        run_at=DatabaseNow(),
        **_without_lease(),
    )


def _settle_failure(job: DurableJob, error: BaseException, guard: Q, seconds: float | None) -> bool:
    message = logs.exception_text(error)
    retryable = not isinstance(error, PermanentError)
    again = retryable and job.attempts < job.attempts_allowed()
    entry = {
        "at": timezone.now().isoformat(),
        "attempt": job.attempts,
        "type": type(error).__name__,
        "message": logs.mask(str(error))[:2000],
        "retryable": retryable,
    }
    fields: dict[str, Any] = {"errors": [*job.errors, entry], **_without_lease()}
    actor = job.lease_owner
    to = _state_after(job, error)
    if again:
        to = job.WAITING_STATE
        fields["run_at"] = database_now(job.job_kind.retry.delay_before(job.attempts))
    with transaction.atomic():
        if not job.take_from_holder(guard, to, actor=actor, reason=message, **fields):
            return False
        _after_failure(job, error)
        metrics.add(*_failure_metrics(job, seconds))
    return True


def _failure_metrics(job: DurableJob, seconds: float | None) -> list[metrics.Increment]:
    kind = job.kind_name()
    increments = [metrics.Increment("jobs_failed_total", {"kind": kind})]
    if job.is_dead:
        increments.append(metrics.Increment("jobs_processed_total", {"kind": kind}))
    if seconds is not None:
        increments.extend(metrics.observe("job_duration_seconds", seconds, kind=kind))
    return increments


def _state_after(job: DurableJob, error: BaseException) -> str:
    timed_out = isinstance(error, DeadlinePassedError)
    return job.TIMED_OUT_STATE if timed_out else job.FAILED_STATE


def _without_lease() -> dict[str, Any]:
    return {"lease_until": None, "lease_owner": "", "deadline_at": None}


def _after_settle(job: DurableJob, error: BaseException | None) -> None:
    if job.job_kind.after_settle:
        resolve(job.job_kind.after_settle)(job, error)


def _after_failure(job: DurableJob, error: BaseException) -> None:
    """As `_after_settle`, but its own failure must not keep an attempt from ending."""
    try:
        with transaction.atomic():
            _after_settle(job, error)
    except Exception:
        logger.exception("%s %s: what follows a failure failed itself", job._meta.label, job.pk)


def _lease() -> timedelta:
    return timedelta(seconds=settings.LEASE_SECONDS)


def _below_cap(job: DurableJob, kind: JobKind) -> Q:
    """Fewer jobs of the kind's group run in this lane process than its cap.

    Exact on SQLite (one writer); on PostgreSQL two claims in the same millisecond may both pass.
    That is harmless: the cap keeps a worker free for others, it protects no data.
    """
    instance = lane_instance()
    if kind.cap is None or not instance:
        return Q()
    model: Any = type(job)  # one with a `kind` column, as every model with several kinds has
    group = [k.kind for k in get_registry().cap_group(kind)]
    running = (
        DurableJobQuerySet(model)
        .held_by_lane(instance)
        .filter(kind__in=group)
        .order_by()
        .values(one=Value(1))
        .annotate(count=Count("pk"))
        .values("count")
    )
    return Q(LessThan(Coalesce(Subquery(running), 0), kind.cap()))


@contextmanager
def _renewed(job: DurableJob, kind: JobKind) -> Iterator[None]:
    """Keep the lease alive while the body runs, never past the deadline."""
    model, pk, owner = type(job), job.pk, job.lease_owner
    ends = time.monotonic() + kind.deadline.total_seconds()

    def renew() -> bool:
        left = timedelta(seconds=ends - time.monotonic())
        if left <= timedelta():
            return False
        held = model._base_manager.filter(pk=pk, lease_owner=owner, lease_until__gt=DatabaseNow())
        return bool(held.update(lease_until=database_now(min(_lease(), left))))

    every = timedelta(seconds=settings.LEASE_RENEW_SECONDS)
    with Renewal(renew, every=every) as renewal:
        job.watch_lease(renewal.lost)
        yield
