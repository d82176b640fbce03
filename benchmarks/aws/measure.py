"""What one process costs from its start to its end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.processes import MEGABYTE, cpu_seconds

ROOT = Path(__file__).resolve().parent.parent.parent
LOOK_SECONDS = 0.05
PATIENCE_SECONDS = 600.0


class ContestantError(Exception):
    """A contestant did not reach its end; its own words are above."""


@dataclass(frozen=True)
class Cost:
    """Of a process and all it started and waited for."""

    wall_seconds: float
    cpu_seconds: float
    database_cpu_seconds: float  # of the server, 0 where there is none
    peak_mb: float  # resident, of the process itself
    output: str


def measure(
    command: list[str], environment: dict[str, str], *, server_pid: int | None = None
) -> Cost:
    """Run it. Raises `ContestantError`."""
    database_before = cpu_seconds(server_pid) if server_pid else 0.0
    started = time.monotonic()
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    killer = threading.Timer(PATIENCE_SECONDS, process.kill)
    peak = _Peak(process.pid)
    killer.start()
    peak.start()
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)  # CPU time of the dead is told here alone
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    killer.cancel()
    peak.join()
    process.stdout.close()
    if process.returncode:
        sys.stderr.write(output[-3000:])
        raise ContestantError(f"{' '.join(command[:3])} left with {process.returncode}.")
    return Cost(
        wall_seconds=seconds,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        database_cpu_seconds=(cpu_seconds(server_pid) if server_pid else 0.0) - database_before,
        peak_mb=peak.megabytes,
        output=output,
    )


class _Peak(threading.Thread):
    """Looks until the process is gone. The kernel keeps the highest mark on Linux, so a look just
    before the end tells all; `ru_maxrss` would not do: it starts at the parent's size."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.megabytes = 0.0
        self._pid = pid

    def run(self) -> None:
        with suppress(psutil.Error):
            process = psutil.Process(self._pid)
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                self.megabytes = max(self.megabytes, self._look(process))
                time.sleep(LOOK_SECONDS)

    def _look(self, process: psutil.Process) -> float:
        try:
            lines = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        except OSError:
            return float(process.memory_info().rss) / MEGABYTE
        marks = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")]
        return marks[0] if marks else 0.0
