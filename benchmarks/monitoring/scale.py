"""10,000 monitors at 30 s by two workers, of which one is killed with -9 half-way."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.databases import Server
from benchmarks.monitoring.figures import percentile
from benchmarks.monitoring.ours import install
from benchmarks.monitoring.programs import Site
from benchmarks.processes import MEGABYTE, cpu_seconds

INTERVAL_SECONDS, LEASE_SECONDS = 30, 30
_LONGEST_GAP = """
SELECT MAX(gap) FROM (
    SELECT EXTRACT(EPOCH FROM checked_at - LAG(checked_at) OVER
        (PARTITION BY monitor_id ORDER BY checked_at)) AS gap FROM monitor_checks
) gaps
"""


@dataclass(frozen=True)
class Scale:
    """Lags in seconds, from due to claimed, after the start had settled."""

    monitors: int
    checks: int
    lag_p50: float
    lag_p99: float
    longest_gap: float
    memory_mb: float
    cpu_percent: float
    database_cpu_percent: float


def measure(server: Server, site: Site, monitors: int, seconds: float, folder: Path) -> Scale:
    made = install(server, site)
    made.add_monitors(monitors, site.http, INTERVAL_SECONDS)
    with made.worker(folder / "first.log") as first, made.worker(folder / "second.log") as second:
        time.sleep(2 * INTERVAL_SECONDS)  # all are due at once at first; then they are spread
        lags, checks = made.lags(), made.checked()
        cpu, database = cpu_seconds(first.pid), cpu_seconds(server.pid or 0)
        started = time.monotonic()
        time.sleep(seconds / 2)
        os.kill(second.pid, signal.SIGKILL)
        second.wait()
        time.sleep(seconds / 2)
        elapsed = time.monotonic() - started
        fresh = {bound: count - lags.get(bound, 0) for bound, count in made.lags().items()}
        return Scale(
            monitors=monitors,
            checks=made.checked() - checks,
            lag_p50=percentile(fresh, 50),
            lag_p99=percentile(fresh, 99),
            longest_gap=float(made.execute(_LONGEST_GAP)[0][0]),
            memory_mb=psutil.Process(first.pid).memory_info().rss / MEGABYTE,
            cpu_percent=100 * (cpu_seconds(first.pid) - cpu) / elapsed,
            database_cpu_percent=100 * (cpu_seconds(server.pid or 0) - database) / elapsed,
        )
