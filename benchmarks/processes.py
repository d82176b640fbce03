"""What processes cost, and how they end."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

MEGABYTE = 1024 * 1024
STOP_SECONDS = 35.0  # SHUTDOWN_GRACE_SECONDS and a little


@dataclass(frozen=True)
class IdleCost:
    """Of one cluster and its database while nothing is to be done; CPU in % of one core."""

    cluster_cpu: float
    database_cpu: float | None  # None: no process of its own (SQLite)
    pss_mb: float | None  # None: this system does not tell (only Linux does)
    processes: int
    other_cpu: float  # everything else on the machine: how far to trust the figures

    @property
    def cpu(self) -> float:
        return self.cluster_cpu + (self.database_cpu or 0)


def measure_idle(cluster_pid: int, server_pid: int | None, seconds: float) -> IdleCost:
    pids = [cluster_pid, *([server_pid] if server_pid else [])]
    before, busy, started = [cpu_seconds(pid) for pid in pids], _busy_seconds(), time.monotonic()
    time.sleep(seconds)
    elapsed = time.monotonic() - started
    shares = [
        100 * (cpu_seconds(pid) - then) / elapsed for pid, then in zip(pids, before, strict=True)
    ]
    whole = 100 * (_busy_seconds() - busy) / elapsed
    cluster = family(cluster_pid)
    return IdleCost(
        cluster_cpu=shares[0],
        database_cpu=shares[1] if server_pid else None,
        pss_mb=_pss_mb(cluster),
        processes=len(cluster),
        other_cpu=max(whole - sum(shares), 0),
    )


def family(pid: int) -> list[psutil.Process]:
    """The process and all below it, however deep."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    return []


@contextmanager
def running(
    command: list[str], folder: Path, environment: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, asked to end with SIGTERM; what is left is killed."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        whole = family(process.pid)
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        _kill(whole)
        process.wait()


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # psutil compares the time of birth: never a stranger
            process.kill()


def cpu_seconds(pid: int) -> float:
    """Of the living, and of those that died since and were waited for by a living one."""
    total = 0.0
    for process in family(pid):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0) - 2 * getattr(times, "guest", 0)


def _pss_mb(processes: Iterable[psutil.Process]) -> float | None:
    """Proportional set size: a page shared by n processes counts 1/n in each."""
    total = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            pss = getattr(process.memory_full_info(), "pss", None)
            if pss is None:
                return None
            total += pss
    return total / MEGABYTE
