"""One contestant from its start to its stop: idle cost, latency, throughput."""

from __future__ import annotations

import json
import math
import os
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.databases import Server
from benchmarks.processes import IdleCost, measure_idle, running

ROOT = Path(__file__).resolve().parent.parent
WARM_UP_JOBS = 50  # each worker has its connection and its modules before anything is measured
REST_SECONDS = 20.0
PRODUCER_TIMEOUT_SECONDS = 150.0


class ContestError(Exception):
    """A benchmark could not be run to its end."""


@dataclass(frozen=True)
class Contestant:
    name: str
    package: str  # has `settings` and `work`
    qcluster: tuple[str, ...]  # what follows `python`


OURS = Contestant("hostmaster", "benchmarks.ours", ("manage.py", "qcluster"))
PEER = Contestant("django-q2", "benchmarks.peer", ("-m", "django", "qcluster"))


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    probes: int
    rate: float  # probes a second
    jobs: int
    idle_seconds: float
    lane: str


@dataclass(frozen=True)
class Result:
    p50_ms: float
    p99_ms: float
    jobs_per_second: float
    enqueue_ms: float
    idle: IdleCost
    trouble: tuple[str, ...]  # what a reader has to know before believing the figures


def run_contestant(contestant: Contestant, server: Server, plan: Plan) -> Result:
    environment = _environment(contestant, server.create_database(), plan.lane)
    _run("-m", "benchmarks.migrate", environment=environment)
    log = server.folder / f"{contestant.name}.log"
    with running([sys.executable, *contestant.qcluster], ROOT, environment, log) as cluster:
        runs = {"warm-up": _produce(contestant, WARM_UP_JOBS, 0, environment)}
        if runs["warm-up"]["unfinished"]:
            raise ContestError(f"{contestant.name} does not work:\n{log.read_text()[-5000:]}")
        time.sleep(REST_SECONDS)
        idle = measure_idle(cluster.pid, server.pid, plan.idle_seconds)
        runs["latency"] = _produce(contestant, plan.probes, plan.rate, environment)
        runs["throughput"] = _produce(contestant, plan.jobs, 0, environment)
        if cluster.poll() is not None:
            raise ContestError(f"{contestant.name}: qcluster left with {cluster.returncode}.")
    flood = runs["throughput"]
    return Result(
        p50_ms=percentile(runs["latency"]["latencies_ms"], 0.50),
        p99_ms=percentile(runs["latency"]["latencies_ms"], 0.99),
        jobs_per_second=(plan.jobs - flood["unfinished"]) / flood["seconds"],
        enqueue_ms=1000 * flood["enqueue_seconds"] / plan.jobs,
        idle=idle,
        trouble=tuple(_trouble(runs)),
    )


def percentile(values: list[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed: for 0.99 the 198th of 200."""
    if not values:
        return math.nan
    return sorted(values)[math.ceil(share * len(values)) - 1]


def _trouble(runs: dict[str, dict[str, Any]]) -> list[str]:
    names = ("not_started", "started_again", "unfinished", "failed")
    found = [(run, name, int(outcome[name])) for run, outcome in runs.items() for name in names]
    return [f"{run}: {count} {name.replace('_', ' ')}" for run, name, count in found if count]


def _produce(
    contestant: Contestant, jobs: int, rate: float, environment: dict[str, str]
) -> dict[str, Any]:
    arguments = ("benchmarks.producer", f"{contestant.package}.work", str(jobs), str(rate))
    outcome: dict[str, Any] = json.loads(_run("-m", *arguments, environment=environment))
    return outcome


def _run(*arguments: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PRODUCER_TIMEOUT_SECONDS,
    )
    if done.returncode:
        raise ContestError(f"{' '.join(arguments)}: {done.stderr or done.stdout}")
    return done.stdout


def _environment(contestant: Contestant, database_url: str, lane: str) -> dict[str, str]:
    """Nothing of the shell or of `.env` decides: every setting has its default."""
    kept = ("PATH", "HOME", "TMPDIR", "LANG")
    return {name: os.environ[name] for name in kept if name in os.environ} | {
        "DJANGO_SETTINGS_MODULE": f"{contestant.package}.settings",
        "DATABASE_URL": database_url,
        "BENCHMARK_LANE": lane,
        "DOTENV_PATH": os.devnull,
        "ENV": "development",
        "DEBUG": "false",
        "START_WORKERS": "false",
        "SECRET_KEY": secrets.token_hex(32),
        "ENCRYPTION_KEY": secrets.token_hex(32),
    }
