"""What an app offers to the kernel, as data: each app lists its own in `registry.py`.

An app's `registry.py` holds `REGISTRY = AppRegistry(...)`; the kernel collects them once, in
`ready()`. Verbs are dotted paths, resolved when used, so a process imports only what it runs
(boto3 alone costs 10 MB a process); a system check proves that each resolves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from importlib import import_module
from typing import Any, TypeVar

from django.apps import apps
from django.utils.module_loading import import_string, module_has_submodule

from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.jobs.retry import RetryPolicy

Item = TypeVar("Item")


class RegistryError(Exception):
    """Two apps registered the same name, or a name that is registered nowhere was asked for."""


@dataclass(frozen=True)
class JobKind:
    """One kind of durable job. `handler(job) -> Mapping[str, object] | None` does the work outside
    any transaction, is safe to repeat and returns the fields to store with the final state.
    `after_settle(job, error)` runs inside the settling transaction: database only.

    A kind with a `drain` is worked off by that drain, in batches; the engine never touches it and
    its `handler` is empty. It is listed, counted and retried like the others."""

    model: str  # "scans.ScanJob"
    kind: str  # "aws"
    handler: str
    lane: Lane
    deadline: timedelta
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    after_settle: str = ""
    cap: Callable[[], int] | None = None  # at most so many at once in one lane process, with
    cap_group: str = ""  # all kinds of this group counted together
    drain: str = ""  # the name of the drain that works it off

    def __post_init__(self) -> None:
        if self.cap is not None and not self.cap_group:
            raise RegistryError(f"The cap of job kind {self.kind!r} needs a cap_group.")
        if bool(self.handler) == bool(self.drain):
            raise RegistryError(f"Job kind {self.kind!r} needs a handler or a drain.")


@dataclass(frozen=True)
class Doorbell:
    """A name others ring, and the task in a lane that answers."""

    name: str
    task: str
    lane: Lane


@dataclass(frozen=True)
class Schedule:
    """A verb run by the clock: `run() -> JobReport | None`. `cron` has six fields, seconds last;
    the environment variable `setting` overrides it."""

    name: str
    run: str
    cron: str
    lane: Lane
    setting: str = ""
    description: str = ""


@dataclass(frozen=True)
class Drain:
    """High-volume work: `has_due() -> bool` is one indexed EXISTS; `run(turn) -> int` works off
    batches until `turn.is_over()`. Lower `priority` goes first where drains take turns (SQLite)."""

    name: str
    lane: Lane
    has_due: str
    run: str
    priority: int = 50
    concurrency: Callable[[], int] = lambda: 1


@dataclass(frozen=True)
class HealthCheck:
    """`check() -> hostmaster.core.health.checks.Verdict` for one component."""

    component: str
    check: str


@dataclass(frozen=True)
class Metric:
    """One metric family of /metrics. Counters and histograms are rows; a gauge has `read() ->
    Iterable[tuple[dict[str, str], float]]`, asked at each scrape."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    type: str = "counter"  # counter | histogram | gauge
    read: str = ""


@dataclass(frozen=True)
class Retention:
    """Rows of `model` whose `instant` is older than `keep` are pruned; `only` narrows them."""

    model: str
    instant: str
    keep: timedelta
    only: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AppRegistry:
    jobs: tuple[JobKind, ...] = ()
    doorbells: tuple[Doorbell, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    drains: tuple[Drain, ...] = ()
    health_checks: tuple[HealthCheck, ...] = ()
    metrics: tuple[Metric, ...] = ()
    retention: tuple[Retention, ...] = ()


@dataclass(frozen=True)
class Registry:
    """Everything all apps registered, by name."""

    jobs: dict[tuple[str, str], JobKind]
    doorbells: dict[str, Doorbell]
    schedules: dict[str, Schedule]
    drains: dict[str, Drain]
    health_checks: dict[str, HealthCheck]
    metrics: dict[str, Metric]
    retention: tuple[Retention, ...]

    def job_kind(self, model: str, kind: str) -> JobKind:
        try:
            return self.jobs[model.lower(), kind]
        except KeyError:
            raise RegistryError(f"No job kind {kind!r} is registered for {model}.") from None

    def lane_kinds(self, lane: Lane) -> list[JobKind]:
        """The kinds that the engine runs in this lane; its drains see to theirs."""
        return [kind for kind in self.jobs.values() if kind.lane is lane and not kind.drain]

    def lane_drains(self, lane: Lane) -> list[Drain]:
        return [drain for drain in self.drains.values() if drain.lane is lane]

    def cap_group(self, kind: JobKind) -> list[JobKind]:
        """The kinds of its model that are counted together with `kind`, itself included."""
        same = [k for k in self.jobs.values() if k.model == kind.model]
        return [k for k in same if k.cap_group == kind.cap_group]

    def job_models(self, lane: Lane | None = None) -> list[str]:
        """Labels of the models with a kind in `lane` (all lanes by default)."""
        kinds = [kind for kind in self.jobs.values() if lane in (None, kind.lane)]
        return sorted({kind.model for kind in kinds})


def resolve(path: str) -> Callable[..., Any]:
    """The verb behind a dotted path. Raises `ImportError`."""
    verb: Callable[..., Any] = import_string(path)
    return verb


@cache
def get_registry() -> Registry:
    """What all installed apps registered. Raises `RegistryError` for a name taken twice."""
    found = list(_app_registries())
    return Registry(
        jobs=_by(lambda k: (k.model.lower(), k.kind), [k for r in found for k in r.jobs]),
        doorbells=_by(lambda b: b.name, [b for r in found for b in r.doorbells]),
        schedules=_by(lambda s: s.name, [s for r in found for s in r.schedules]),
        drains=_by(lambda d: d.name, [d for r in found for d in r.drains]),
        health_checks=_by(lambda c: c.component, [c for r in found for c in r.health_checks]),
        metrics=_by(lambda m: m.name, [m for r in found for m in r.metrics]),
        retention=tuple(rule for r in found for rule in r.retention),
    )


def _app_registries() -> Iterator[AppRegistry]:
    for config in apps.get_app_configs():
        if config.module is None or not module_has_submodule(config.module, "registry"):
            continue
        registry = getattr(import_module(f"{config.name}.registry"), "REGISTRY", None)
        if isinstance(registry, AppRegistry):
            yield registry


def _by(key: Callable[[Item], Any], items: list[Item]) -> dict[Any, Item]:
    named: dict[Any, Item] = {}
    for item in items:
        if key(item) in named:
            raise RegistryError(f"{key(item)} is registered twice.")
        named[key(item)] = item
    return named
