"""Two measurements of the outbox, each with the product's own `qcluster` and default settings."""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.contest import ROOT, percentile
from benchmarks.databases import Server, server
from benchmarks.machine import describe_machine, load
from benchmarks.processes import family, running

CHANNELS = 5
LANES = ("--lane", "alerts")
PATIENCE_SECONDS = 180.0  # without one more message: it hangs


@dataclass(frozen=True)
class Latency:
    """From the commit of an incident's change to the first byte at the channel."""

    messages: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Kills:
    """What a receiver outside got while processes of the product were killed."""

    deliveries: int
    kills: int
    lost: int
    doubles: int
    foreign: int  # arrived under an id that no notification has: a double in disguise
    seconds: float

    @property
    def doubles_a_kill(self) -> float:
        return self.doubles / max(self.kills, 1)


def main() -> int:
    options = _options()
    report: dict[str, Any] = {}
    missed = False
    for kind in options.database:
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o711)  # PostgreSQL runs as a user of its own
            with server(kind, Path(folder)) as database:
                print(f"## {kind}\n{describe_machine(database)}\nload before: {load()}", flush=True)
                latency = measure_latency(database, options.messages, options.rate)
                print(f"latency: {latency}", flush=True)
                kills = measure_kills(database, options.deliveries, options.kills)
                print(f"kills: {kills}, {kills.doubles_a_kill:.2f} a kill", flush=True)
                print(f"load after: {load()}", flush=True)
                report[kind] = {"latency": asdict(latency), "kills": asdict(kills)}
                missed |= bool(kills.lost or kills.foreign) or kills.doubles_a_kill > 0.5
                missed |= latency.p95_ms > 2000
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=2))
    return int(missed)


def measure_latency(database: Server, messages: int, rate: float) -> Latency:
    with _place(database) as place, _qcluster(place):
        place.produce("warm", 5)
        _wait(lambda: place.count_arrivals() >= 5, "the lane works")
        sent = place.produce("paced", messages, rate)
        _wait(lambda: place.count_arrivals() >= messages + 5, "all arrived")
        first = place.first_arrivals()
    late = [1000 * (first[key] - at) for key, at in sent.items()]
    shares = {share: percentile(late, share) for share in (0.5, 0.95, 0.99)}
    return Latency(messages, *shares.values())


def measure_kills(database: Server, deliveries: int, kills: int) -> Kills:
    dice = random.Random(20261124)
    with _place(database) as place:
        place.produce("bulk", deliveries)
        started, killed = time.monotonic(), 0
        pause = max(deliveries / (kills + 1), 1)
        while killed < kills and place.count_arrivals() < 0.98 * deliveries:
            with _qcluster(place) as cluster:
                while cluster.poll() is None and killed < kills:
                    goal = min(pause * (killed + 1), 0.98 * deliveries)
                    _wait(
                        lambda: place.count_arrivals() >= goal or cluster.poll() is not None,  # noqa: B023 asked at once
                        "deliveries go on",
                    )
                    killed += _kill_one(cluster.pid, dice)
        with _qcluster(place):
            _wait(lambda: place.count_unfinished() == 0, "all delivered")
        seconds = time.monotonic() - started
        arrivals, expected = Counter(place.arrivals()), set(place.produce("ids", 0))
    return Kills(
        deliveries=deliveries,
        kills=killed,
        lost=len(expected - set(arrivals)),
        doubles=sum(arrivals[key] - 1 for key in expected & set(arrivals)),
        foreign=len(set(arrivals) - expected),
        seconds=seconds,
    )


def _kill_one(pid: int, dice: random.Random) -> int:
    """Any process of the product's: supervisor, lane, sentinel, pusher, monitor, worker."""
    found = family(pid)
    if not found:
        return 0
    with suppress(psutil.NoSuchProcess):
        dice.choice(found).kill()
        return 1
    return 0


class _Place:
    """One database, one receiver, and the commands between them."""

    def __init__(self, database: Server, folder: Path, port: int) -> None:
        self.log = folder / "arrivals"
        self.folder = folder
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.environment = kept | {
            "DJANGO_SETTINGS_MODULE": "hostmaster.settings",
            "DOTENV_PATH": os.devnull,
            "ENV": "development",
            "DEBUG": "0",
            "START_WORKERS": "0",
            "DATABASE_URL": database.create_database(),
            "SECRET_KEY": secrets.token_hex(32),
            "ENCRYPTION_KEY": secrets.token_hex(32),
            "HOSTMASTER_ALLOWED_NETWORKS": "127.0.0.1/32",
            "LOG_LEVEL": "WARNING",
            "BENCHMARK_SINK": f"http://127.0.0.1:{port}/",
        }
        self._run("manage.py", "migrate", "--verbosity", "0")

    def produce(self, how: str, count: int, rate: float = 0) -> dict[str, float]:
        """By message id, when the transaction that owes it was committed."""
        arguments = ("-m", "benchmarks.owing", how, str(count), str(rate), str(CHANNELS))
        found: dict[str, float] = json.loads(self._run(*arguments))
        return found

    def count_unfinished(self) -> int:
        return len(self.produce("unfinished", 0))

    def count_arrivals(self) -> int:
        return self.log.read_bytes().count(b"\n") if self.log.exists() else 0

    def arrivals(self) -> list[str]:
        return [line.split()[0] for line in self._lines()]

    def first_arrivals(self) -> dict[str, float]:
        first: dict[str, float] = {}
        for line in self._lines():
            key, at = line.split()
            first.setdefault(key, float(at))
        return first

    def _lines(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{arguments}: {done.stderr[-3000:]}")
        return done.stdout


@contextmanager
def _place(database: Server) -> Iterator[_Place]:
    folder = Path(tempfile.mkdtemp(dir=database.folder))
    command = [sys.executable, "-m", "benchmarks.sink", str(folder / "arrivals")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as sink:
        assert sink.stdout is not None
        try:
            yield _Place(database, folder, int(sink.stdout.readline()))
        finally:
            sink.terminate()


@contextmanager
def _qcluster(place: _Place) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "manage.py", "qcluster", *LANES]
    log = place.folder / "qcluster.log"
    with running(command, ROOT, place.environment, log) as process:
        yield process


def _wait(fact: Any, what: str) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while not fact():
        if time.monotonic() > ends:
            raise SystemExit(f"not within {PATIENCE_SECONDS:.0f} s: {what}")
        time.sleep(0.2)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure the outbox: latency, and what a receiver gets over kills.",
        epilog="A short run: --database sqlite --messages 40 --deliveries 500 --kills 5",
    )
    databases = ["sqlite", "postgresql"]
    parser.add_argument("--database", action="append", choices=databases, default=None)
    parser.add_argument("--messages", type=int, default=200, help="for the latency (200)")
    parser.add_argument("--rate", type=float, default=5.0, help="of them a second (5)")
    parser.add_argument("--deliveries", type=int, default=100_000, help="over the kills (100,000)")
    parser.add_argument("--kills", type=int, default=220, help="of random processes (220)")
    parser.add_argument("--json", help="write the figures into this file")
    options = parser.parse_args()
    options.database = options.database or ["postgresql"]
    return options
