"""What tests of real processes need: waiting for facts, finding children, killing them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest
from django.db import OperationalError

LEASE = 3.0  # as in tests.projects.SHORT_INTERVALS
GRACE = 8.0


def wait_for(fact: Callable[[], object], seconds: float, what: str) -> float:
    """Wait until `fact()` is true; answers how long that took, fails the test when it is not."""
    started = time.monotonic()
    while time.monotonic() < started + seconds:
        with suppress(OperationalError):
            if fact():
                return time.monotonic() - started
        time.sleep(0.05)
    return pytest.fail(f"not within {seconds} s: {what}")


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The process and everything it started, however deep."""
    try:
        parent = psutil.Process(process.pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def running_lane(process: subprocess.Popen[bytes], lane: str) -> psutil.Process:
    """The lane's own process below a supervisor, as soon as it runs."""
    found: list[psutil.Process] = []

    def look() -> bool:
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(process.pid).children()
            found.extend(child for child in children if lane in child.cmdline())
        return bool(found)

    wait_for(look, 60, f"lane {lane} runs")
    return found[0]


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def stop(process: subprocess.Popen[bytes], seconds: float = GRACE + 22) -> int:
    process.terminate()
    return process.wait(seconds)
