"""Who is measured, and how one goes its way: recorded once, then measured."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.aws import custodian
from benchmarks.aws.measure import ROOT, Cost, measure
from benchmarks.databases import Server
from scans.aws.simulator import SIMULATED_KEYS

PREPARE_SECONDS = 120


@dataclass(frozen=True)
class Endpoint:
    """A replaying server."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def counts(self) -> dict[str, int]:
        """Calls since this was last asked."""
        answer: dict[str, int] = json.loads(self._send("GET"))
        self._send("DELETE")
        return answer

    def _send(self, method: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, "/_counts")
            return connection.getresponse().read()
        finally:
            connection.close()


@contextmanager
def replaying(target_url: str, delay: float, copies: int) -> Iterator[Endpoint]:
    """It leaves when its standard input closes: at the end, and should this process die."""
    arguments = ["-m", "benchmarks.aws.replay", target_url, str(delay), str(copies)]
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Endpoint(int(process.stdout.readline()))
        finally:
            process.stdin.close()
            process.wait()


@dataclass(frozen=True)
class Result:
    """Medians of all measured runs; what is counted is of the last."""

    name: str
    wall_seconds: float
    cpu_seconds: float
    database_cpu_seconds: float
    peak_mb: float
    calls: int
    new_calls: int  # not from memory: the simulator's time is in the figures
    job_wall_seconds: float | None = None  # without the start of the process
    job_cpu_seconds: float | None = None
    told: dict[str, Any] = field(default_factory=dict)  # by the contestant about its run
    walls: tuple[float, ...] = ()


def record_ours(verb: str, server: Server, endpoint: Endpoint) -> None:
    """One scan that is not measured, so that the next ones are answered from memory."""
    environment = _ours(server.create_database(), endpoint)
    _prepare(environment)
    measure(_scan(verb), environment)


def measure_ours(
    name: str, verb: str, server: Server, endpoint: Endpoint, runs: int, *, again: bool
) -> list[Result]:
    """First scans, each of a new database, and `again` the second scans of the same."""
    costs: list[list[Cost]] = [[], []] if again else [[]]
    counts = [dict[str, int]() for _ in costs]
    for _ in range(runs):
        environment = _ours(server.create_database(), endpoint)
        _prepare(environment)
        for position, scans in enumerate(costs):
            endpoint.counts()
            scans.append(measure(_scan(verb), environment, server_pid=server.pid))
            counts[position] = endpoint.counts()
    names = (name, f"{name}, again")
    return [_result(*each) for each in zip(names, costs, counts, strict=False)]


def _scan(verb: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.aws.ours", verb]


def measure_sequential(endpoint: Endpoint, runs: int) -> Result:
    command = [sys.executable, "-m", "benchmarks.aws.sequential"]
    return _measure("boto3, sequential", command, outside(endpoint), endpoint, runs)


def measure_custodian(program: Path, folder: Path, endpoint: Endpoint, runs: int) -> Result:
    environment = outside(endpoint) | {"HOME": str(folder)}
    command = custodian.command(program, folder)
    result = _measure("Cloud Custodian", command, environment, endpoint, runs, says=lambda _: {})
    return replace(result, told={"findings": custodian.hits(folder)})


def _measure(
    name: str,
    command: list[str],
    environment: dict[str, str],
    endpoint: Endpoint,
    runs: int,
    *,
    says: Callable[[str], dict[str, Any]] = json.loads,
) -> Result:
    costs, counts = [], {}
    for _ in range(runs + 1):
        endpoint.counts()
        costs.append(measure(command, environment))
        counts = endpoint.counts()
    return _result(name, costs[1:], counts, says)


def _result(
    name: str,
    costs: list[Cost],
    counts: dict[str, int],
    says: Callable[[str], dict[str, Any]] = json.loads,
) -> Result:
    told = [says(cost.output) for cost in costs]
    has_job = all("cpu_seconds" in each for each in told)
    return Result(
        name=name,
        wall_seconds=statistics.median(cost.wall_seconds for cost in costs),
        cpu_seconds=statistics.median(cost.cpu_seconds for cost in costs),
        database_cpu_seconds=statistics.median(cost.database_cpu_seconds for cost in costs),
        peak_mb=max(cost.peak_mb for cost in costs),
        calls=counts["calls"],
        new_calls=counts["new"],
        job_wall_seconds=statistics.median(t["seconds"] for t in told) if has_job else None,
        job_cpu_seconds=statistics.median(t["cpu_seconds"] for t in told) if has_job else None,
        told=told[-1] | {"failed_calls": counts["failed"]},
        walls=tuple(round(cost.wall_seconds, 3) for cost in costs),
    )


def outside(endpoint: Endpoint) -> dict[str, str]:
    """What tells any AWS client where to ask, and with which keys; nothing of the shell's AWS."""
    return _passed_on() | {
        "AWS_ENDPOINT_URL": endpoint.url,
        "AWS_ACCESS_KEY_ID": SIMULATED_KEYS.access_key_id,
        "AWS_SECRET_ACCESS_KEY": SIMULATED_KEYS.secret_access_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }


def _ours(database_url: str, endpoint: Endpoint) -> dict[str, str]:
    """Every setting has its default, whatever the shell or `.env` say."""
    return _passed_on() | {
        "DJANGO_SETTINGS_MODULE": "hostmaster.settings",
        "DATABASE_URL": database_url,
        "AWS_ENDPOINT_URL": endpoint.url,
        "DOTENV_PATH": "/dev/null",
        "ENV": "development",
        "DEBUG": "false",
        "START_WORKERS": "false",
        "LOG_LEVEL": "WARNING",
        "SECRET_KEY": secrets.token_hex(32),
        "ENCRYPTION_KEY": secrets.token_hex(32),
    }


def _prepare(environment: dict[str, str]) -> None:
    subprocess.run(
        [sys.executable, "-m", "benchmarks.aws.ours", "prepare"],
        cwd=ROOT,
        env=environment,
        check=True,
        timeout=PREPARE_SECONDS,
    )


def _passed_on() -> dict[str, str]:
    kept = ("PATH", "HOME", "TMPDIR", "LANG")
    return {name: os.environ[name] for name in kept if name in os.environ}
