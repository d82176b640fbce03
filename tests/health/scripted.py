"""A component that fares as a test says, registered like any app's."""

from __future__ import annotations

import threading
from collections import deque

from hostmaster.core.health.checks import Verdict
from hostmaster.core.health.models import Status

script: deque[Status] = deque()
calls = 0
gate = threading.Event()


def check() -> Verdict:
    """The next status of the script; the last one stays."""
    global calls
    calls += 1
    status = script.popleft() if len(script) > 1 else script[0]
    return Verdict(status, f"scripted: {status.value}", {"call": calls})


def broken() -> Verdict:
    raise RuntimeError("password=hunter2-hunter2 was refused")


def hanging() -> Verdict:
    gate.wait(20)
    return Verdict(Status.HEALTHY, "came back")


def play(*statuses: Status) -> None:
    global calls
    calls = 0
    script.clear()
    script.extend(statuses)
