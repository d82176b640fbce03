"""Dead letters of every kind of job: which, and back to work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import ValidationError

from hostmaster.core.jobs import operate
from hostmaster.core.jobs.models import DurableJobQuerySet
from hostmaster.core.jobs.sweep import jobs_of
from hostmaster.core.registry import JobKind, get_registry
from hostmaster.core.tenants.models import Tenant


class UnknownChoiceError(Exception):
    """There is no such kind or model of jobs."""


@dataclass(frozen=True)
class Choice:
    """Which dead letters are meant; empty fields narrow nothing."""

    kind: str = ""
    label: str = ""
    tenant: Tenant | None = None
    ids: tuple[str, ...] = ()
    died_since: datetime | None = None


@dataclass(frozen=True)
class KindReport:
    """What became of the dead letters of one kind."""

    label: str
    kind: str
    dead: int
    revived: int = 0
    with_open_twin: int = 0
    left: int = 0  # somebody was first


def chosen_kinds(choice: Choice) -> list[JobKind]:
    """Raises `UnknownChoiceError`, whose sentence names the choices."""
    known = list(get_registry().jobs.values())
    _require(choice.label, {kind.model for kind in known}, "model")
    _require(choice.kind, {kind.kind for kind in known}, "kind")
    return [
        kind
        for kind in sorted(known, key=lambda kind: (kind.model, kind.kind))
        if choice.label.lower() in ("", kind.model.lower()) and choice.kind in ("", kind.kind)
    ]


def dead_letters(kind: JobKind, choice: Choice) -> DurableJobQuerySet:
    """The dead letters of one kind that `choice` means."""
    jobs = jobs_of(kind).dead()
    if choice.tenant is not None:
        jobs = jobs.filter(tenant=choice.tenant)
    if choice.died_since is not None:
        jobs = jobs.filter(finished_at__gte=choice.died_since)
    if choice.ids:
        jobs = jobs.filter(pk__in=_possible_keys(jobs, choice.ids))
    return jobs


def revive(kind: JobKind, choice: Choice, *, actor: str) -> KindReport:
    """Retry them, each by the guarded verb of its row."""
    done = operate.retry(dead_letters(kind, choice), actor=actor)
    twins = len(done.others.get(operate.OPEN_TWIN, ()))
    others = sum(len(jobs) for jobs in done.others.values()) - twins
    revived = len(done.changed)
    return KindReport(kind.model, kind.kind, revived + twins + others, revived, twins, others)


def count(kind: JobKind, choice: Choice) -> KindReport:
    """How many there are; nothing changes."""
    return KindReport(kind.model, kind.kind, dead_letters(kind, choice).count())


def _possible_keys(jobs: DurableJobQuerySet, texts: Iterable[str]) -> list[object]:
    """Of a model with numbers for keys no UUID can be one, and the other way round."""
    field = jobs.model._meta.pk
    keys = []
    for text in texts:
        try:
            keys.append(field.to_python(text))
        except ValidationError:
            continue
    return keys


def _require(wanted: str, known: set[str], what: str) -> None:
    if wanted and wanted.lower() not in {name.lower() for name in known}:
        raise UnknownChoiceError(f"No {what} {wanted!r}. There is: {', '.join(sorted(known))}.")
