"""One contestant from its start to its stop: idle cost, latency, throughput."""

from __future__ import annotations

import json
import math
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.databases import Server
from benchmarks.processes import IdleCost, cpu_seconds, measure_idle, running

ROOT = Path(__file__).resolve().parent.parent
WARM_UP_JOBS = 50  # each worker has its connection and its modules before anything is measured
REST_SECONDS = 20.0
PATIENCE_SECONDS = 60.0  # for what should take a few
FLOOD_SECONDS = 22.0  # of `jobs` due at once; what is finished by then is counted


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
    cpu_ms_per_job: float  # of cluster and database server, the producer's left out
    enqueue_ms: float
    idle: IdleCost
    finished: int  # of the jobs due at once
    trouble: tuple[str, ...]  # what a reader has to know before believing the figures


def run_contestant(contestant: Contestant, server: Server, plan: Plan) -> Result:
    environment = _environment(contestant, server.create_database(), plan.lane)
    _run("-m", "benchmarks.migrate", environment=environment)
    log = server.folder / f"{contestant.name}.log"
    with running([sys.executable, *contestant.qcluster], ROOT, environment, log) as cluster:
        runs = {"warm-up": _produce(contestant, environment, WARM_UP_JOBS)}
        if runs["warm-up"]["unfinished"]:
            raise ContestError(f"{contestant.name} does not work:\n{log.read_text()[-5000:]}")
        time.sleep(REST_SECONDS)
        idle = measure_idle(cluster.pid, server.pid, plan.idle_seconds)
        runs["latency"] = _produce(contestant, environment, plan.probes, rate=plan.rate)
        pids = [cluster.pid, *([server.pid] if server.pid else [])]
        cpu_before = sum(map(cpu_seconds, pids))
        runs["throughput"] = _produce(contestant, environment, plan.jobs, seconds=FLOOD_SECONDS)
        cpu = sum(map(cpu_seconds, pids)) - cpu_before
        if cluster.poll() is not None:
            raise ContestError(f"{contestant.name}: qcluster left with {cluster.returncode}.")
    flood = runs["throughput"]
    finished = flood["enqueued"] - flood["unfinished"]
    return Result(
        p50_ms=percentile(runs["latency"]["latencies_ms"], 0.50),
        p99_ms=percentile(runs["latency"]["latencies_ms"], 0.99),
        jobs_per_second=finished / flood["seconds"],
        cpu_ms_per_job=1000 * cpu / max(finished, 1),
        enqueue_ms=1000 * flood["enqueue_seconds"] / flood["enqueued"],
        idle=idle,
        finished=finished,
        trouble=tuple(_trouble(runs)),
    )


def percentile(values: list[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed: for 0.99 the 198th of 200."""
    if not values:
        return math.nan
    return sorted(values)[math.ceil(share * len(values)) - 1]


def _trouble(runs: dict[str, dict[str, Any]]) -> Iterator[str]:
    for run, outcome in runs.items():
        names = ["started_again", "failed"]
        if run != "throughput":  # there the time may be over first
            names += ["not_started", "unfinished"]
        for name in names:
            if outcome[name]:
                yield f"{run}: {outcome[name]} {name.replace('_', ' ')}"


def _produce(
    contestant: Contestant,
    environment: dict[str, str],
    jobs: int,
    *,
    rate: float = 0,
    seconds: float = PATIENCE_SECONDS,
) -> dict[str, Any]:
    work, numbers = f"{contestant.package}.work", (str(jobs), str(rate), str(seconds))
    answer = _run("-m", "benchmarks.producer", work, *numbers, environment=environment)
    outcome: dict[str, Any] = json.loads(answer)
    return outcome


def _run(*arguments: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_SECONDS,
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
