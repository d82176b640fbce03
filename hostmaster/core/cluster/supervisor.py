"""`manage.py qcluster`: one child process a lane, restarted when it dies, stopped in time."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import Error, close_old_connections

from hostmaster.core import logs
from hostmaster.core.cluster.stop_flag import StopFlag
from hostmaster.core.health import heartbeats
from hostmaster.core.health import services as health
from hostmaster.core.health.internal import serve_internal
from hostmaster.core.jobs import doorbells, schedules
from hostmaster.core.jobs.lanes import Lane

logger = logging.getLogger(__name__)

MAX_CRASHES = 10
CRASH_WINDOW_SECONDS = 60.0
LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Crash:
    """A lane's process that ended without being told to."""

    lane: Lane
    exit_code: int
    may_restart: bool


@dataclass
class LaneChild:
    """A lane's process and when it died lately."""

    lane: Lane
    process: subprocess.Popen[bytes]
    crashes: deque[float] = field(default_factory=deque)

    def note_crash(self, now: float) -> bool:
        """Remember it; answers whether the lane may be started again."""
        self.crashes.append(now)
        while self.crashes and self.crashes[0] < now - CRASH_WINDOW_SECONDS:
            self.crashes.popleft()
        return len(self.crashes) <= MAX_CRASHES


class Supervisor:
    """Runs until SIGTERM or SIGINT (exit code 0) or until a lane crashes too often (1)."""

    def __init__(self, lanes: Iterable[Lane]) -> None:
        self.lanes = list(lanes)
        self._grace = float(settings.SHUTDOWN_GRACE_SECONDS)
        self.flag = StopFlag(self._grace)
        self.children: list[LaneChild] = []
        self.unreported: list[Crash] = []
        self._beat_at = 0.0

    def run(self) -> int:
        """Raises `OSError` when `WORKER_PORT` is taken, before anything is started."""
        server = serve_internal(settings.WORKER_PORT) if settings.WORKER_PORT else None
        try:
            schedules.set_up_schedules()
            self.children = [LaneChild(lane, start_lane(lane)) for lane in self.lanes]
            logger.info("qcluster runs the lanes %s", ", ".join(self.lanes))
            while not self.flag.wait(LOOK_SECONDS):
                if not self.look():
                    return self.stop(exit_code=1)
            return self.stop(exit_code=0)
        finally:
            if server is not None:
                server.shutdown()

    def look(self) -> bool:
        """Restart what died. `False`: one lane died too often to go on."""
        self.flag.keep_alive(2 * float(settings.WATCHDOG_SECONDS))
        for child in self.children:
            code = child.process.poll()
            if code is None:
                continue
            may_restart = child.note_crash(time.monotonic())
            self.unreported.append(Crash(child.lane, code, may_restart))
            if not may_restart:
                self._write_down()
                return False
            child.process = start_lane(child.lane)
        if self.unreported or time.monotonic() - self._beat_at >= heartbeats.interval_seconds():
            self._write_down()
        return True

    def stop(self, exit_code: int) -> int:
        """All lanes at once, within the grace period; whatever then still lives is killed."""
        started = self.flag.raised_at or time.monotonic()
        ends = started + self._grace - 0.5
        alive = [child.process for child in self.children if child.process.poll() is None]
        for process in alive:
            process.send_signal(signal.SIGTERM)
        for process in alive:
            try:
                process.wait(max(ends - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                _kill_session(process.pid)
                process.wait()
        return exit_code

    def _write_down(self) -> None:
        """Our heartbeat, and crashes not yet in the system log: during an outage they wait."""
        self._beat_at = time.monotonic()
        try:
            close_old_connections()
            heartbeats.beat("supervisor", "", f"{os.uname().nodename}/supervisor-{os.getpid()}")
            while self.unreported:
                report_crash(self.unreported[0])
                self.unreported.pop(0)
        except Error as error:
            logger.error("not written down yet: %s", logs.exception_text(error))


def start_lane(lane: Lane) -> subprocess.Popen[bytes]:
    """In a session of its own, so that a signal to our group stops it only through us."""
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "qcluster"]
    command += ["--lane", lane.value, "--supervisor-pid", str(os.getpid())]
    environment: dict[str, Any] = {
        "MALLOC_ARENA_MAX": "1",  # threads here wait for networks: 22 MB less in all lanes
        **os.environ,
        "Q_CLUSTER_NAME": lane.value,
    }
    return subprocess.Popen(  # noqa: S603 our own command line
        command, env=environment, start_new_session=True, stdin=subprocess.DEVNULL
    )


def report_crash(crash: Crash) -> None:
    """A row where people look, and a ring for the alert rules. Raises `django.db.Error`."""
    next_step = (
        "restarted" if crash.may_restart else "not restarted: it ended too often in a minute"
    )
    message = f"Lane {crash.lane.value} ended with exit code {crash.exit_code}; {next_step}."
    logger.critical(message)
    health.record(
        "qcluster",
        "critical",
        message,
        fact="worker_crash",
        lane=crash.lane.value,
        exit_code=crash.exit_code,
    )
    doorbells.ring(doorbells.ALERTS_EVALUATE)


def _kill_session(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
