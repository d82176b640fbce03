"""The simulator's process: it answers when started and never outlives who started it."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest
from django.conf import settings

from scans.aws.simulator import start_simulator

START_AND_BE_KILLED = """
import os, signal
from scans.aws.simulator import start_simulator
print(start_simulator().pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.services
def test_simulator_ends_when_its_starter_is_killed() -> None:
    starter = subprocess.run(
        [sys.executable, "-c", START_AND_BE_KILLED],
        cwd=settings.BASE_DIR,
        env={"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": "."},
        stdout=subprocess.PIPE,
        check=False,
    )
    assert starter.returncode == -9
    pid = int(starter.stdout)
    give_up_at = time.monotonic() + 10
    while is_running(pid):
        assert time.monotonic() < give_up_at, "the simulator is an orphan"
        time.sleep(0.05)


@pytest.mark.services
def test_stopped_simulator_is_gone() -> None:
    with start_simulator() as simulator:
        assert is_running(simulator.pid)
    assert not is_running(simulator.pid)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
