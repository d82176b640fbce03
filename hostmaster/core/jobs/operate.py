"""What a person does to jobs, many at once: each by the guarded verb of its row, and told apart
by what became of it. For the admin and for commands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hostmaster.core.jobs.models import DurableJob, DurableJobQuerySet, JobAlreadyOpenError

OPEN_TWIN = "had an open twin"


@dataclass
class Done:
    """The jobs that were changed, and the others by why they were not."""

    word: str  # "revived"
    changed: list[DurableJob] = field(default_factory=list)
    others: dict[str, list[DurableJob]] = field(default_factory=dict)

    def leave(self, job: DurableJob, why: str) -> None:
        self.others.setdefault(why, []).append(job)


def retry(jobs: DurableJobQuerySet, *, actor: str) -> Done:
    """Revive the dead letters among `jobs`."""
    done = Done("revived")
    for job in _each(jobs):
        try:
            if job.is_dead and job.retry(actor=actor):
                done.changed.append(job)
            else:
                done.leave(job, "not dead")
        except JobAlreadyOpenError:
            done.leave(job, OPEN_TWIN)
    return done


def cancel(jobs: DurableJobQuerySet, *, actor: str) -> Done:
    """End the open ones among `jobs`."""
    done = Done("cancelled")
    for job in _each(jobs):
        if job.is_open and job.cancel(actor=actor):
            done.changed.append(job)
        else:
            done.leave(job, "over already")
    return done


def run_now(jobs: DurableJobQuerySet, *, actor: str) -> Done:
    """Let the waiting ones among `jobs` wait no longer."""
    done = Done("asked to run now")
    for job in _each(jobs):
        if job.run_now(actor=actor):
            done.changed.append(job)
        else:
            done.leave(job, "not waiting")
    return done


def _each(jobs: DurableJobQuerySet) -> Iterator[DurableJob]:
    # By key: what is changed leaves the very set that is walked through.
    for key in list(jobs.values_list("pk", flat=True)):
        job = jobs.model._base_manager.filter(pk=key).first()
        if isinstance(job, DurableJob):
            yield job
