"""One lane: a django-q2 cluster with our ticker around it, in a session of its own.

The tree: this process → sentinel → workers, pusher, monitor. Signals reach this process only; it
alone decides how the others end.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import secrets
import signal
import socket
import time
import uuid
from collections.abc import Callable

import psutil
from django.conf import settings
from django.db import Error, close_old_connections, connections
from django_q.signals import post_spawn

from hostmaster.core import logs
from hostmaster.core.cluster import orphans
from hostmaster.core.cluster.cluster_queue import LaneSentinel, Progress
from hostmaster.core.cluster.stop_flag import StopFlag
from hostmaster.core.cluster.watchdog import Watchdog
from hostmaster.core.health import heartbeats
from hostmaster.core.jobs import drains, engine, leases, schedules, stopping, sweep
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.registry import get_registry

logger = logging.getLogger(__name__)

FORK = multiprocessing.get_context("fork")


def run_lane(lane: Lane, supervisor_pid: int) -> int:
    """Run the lane until told to stop; answers the exit code."""
    orphans.die_with_parent(supervisor_pid)
    instance = f"{socket.gethostname()}/{lane.value}-{os.getpid()}-{secrets.token_hex(3)}"
    os.environ[leases.LANE_INSTANCE_VARIABLE] = instance
    return LaneProcess(lane).run()


class LaneProcess:
    """Starts the cluster, ticks each second, stops within the grace period."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self._grace = float(settings.SHUTDOWN_GRACE_SECONDS)
        self._patience = float(settings.WATCHDOG_SECONDS)
        self.flag = StopFlag(self._grace)
        self._progress = Progress()
        self.watchdog = Watchdog(lane, progress=self._progress)
        self._failing_since: float | None = None
        self._beat_at = 0.0
        self._stop_event = stopping.StopEvent()
        self._sentinel = FORK.Process(target=_run_sentinel, args=(self._stop_event,))

    def run(self) -> int:
        post_spawn.connect(stopping.listen, dispatch_uid="hostmaster.stopping.listen")
        self._progress.listen()
        self.tick()  # also loads what every worker needs, once, before the forks
        self._start_cluster()
        logger.info("lane %s runs", self.lane.value)
        while not self.flag.wait(settings.TICK_SECONDS):
            if not self._sentinel.is_alive():
                return self._leave_at_once("its cluster died")
            if not self.tick():
                return self._leave_at_once("the database has been out of reach for too long")
            if self.watchdog.is_stuck():
                return self._leave_at_once("work waits and nothing moves")
        return self.stop()

    def _start_cluster(self) -> None:
        self._beat_at = 0.0  # the workers' first beat comes with the next round
        connections.close_all()  # a connection must not be shared with a fork
        gc.collect()
        gc.freeze()  # what is loaded now stays shared: the collector would touch every page
        self._sentinel.start()

    def tick(self) -> bool:
        """One round of the clock. `False`: no round was possible for too long."""
        self.flag.keep_alive(2 * self._patience)
        steps: list[Callable[[Lane], object]] = [
            leases.release_dead,
            schedules.fire_due,
            sweep.expire_leases,
            sweep.ring_due,
            drains.ring_due,
            self._beat,
        ]
        close_old_connections()
        # Each for itself: one that fails must not keep the others from their turn.
        failures = [error for step in steps if (error := self._try(step)) is not None]
        if len(failures) < len(steps):
            self._failing_since = None
            return True
        self.watchdog.excuse()
        connections.close_all()
        self._failing_since = self._failing_since or time.monotonic()
        return time.monotonic() - self._failing_since < self._patience

    def _try(self, step: Callable[[Lane], object]) -> Exception | None:
        try:
            step(self.lane)
        except Exception as error:  # noqa: BLE001 the loop must outlive any one round
            logger.error("lane %s: %s", self.lane.value, logs.exception_text(error))
            return error
        return None

    def stop(self) -> int:
        """Soft until five seconds before the end of the grace, then hand jobs back."""
        started = self.flag.raised_at or time.monotonic()
        soft = max(self._grace - 5, self._grace / 2)
        hard = max(self._grace - 2, self._grace * 0.7)
        stopping.announce()
        self._stop_event.set()
        self._await_cluster(started + soft)
        while self._sentinel.is_alive() and time.monotonic() < started + hard:
            self._signal_cluster(signal.SIGUSR1)
            self._await_cluster(time.monotonic() + 0.25)
        self._signal_cluster(signal.SIGKILL)
        self._hand_back_all()
        logger.info("lane %s stopped in %.1f s", self.lane.value, time.monotonic() - started)
        return 0

    def _beat(self, lane: Lane) -> None:
        if time.monotonic() - self._beat_at >= heartbeats.interval_seconds():
            self._beat_at = time.monotonic()
            heartbeats.beat("lane", lane.value, leases.lane_instance())
            heartbeats.beat_workers(lane.value)

    def _leave_at_once(self, why: str) -> int:
        logger.critical("lane %s leaves: %s", self.lane.value, why)
        self._signal_cluster(signal.SIGKILL)
        return 1

    def _await_cluster(self, until: float) -> None:
        self._sentinel.join(max(until - time.monotonic(), 0))

    def _signal_cluster(self, number: signal.Signals) -> None:
        """To the sentinel and all it started; those that take no SIGUSR1 ignore it."""
        for process in psutil.Process().children(recursive=True):
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                continue

    def _hand_back_all(self) -> None:
        """What this lane's workers still held goes back to waiting, the attempt uncounted."""
        mine = leases.lane_instance()
        try:
            for kind in get_registry().lane_kinds(self.lane):
                for job in sweep.jobs_of(kind).held_by_lane(mine):
                    engine.hand_back(job)
            leases.release_all(mine)
        except Error as error:
            logger.error("jobs not handed back, their leases will end: %s", error)


def _run_sentinel(stop_event: stopping.StopEvent) -> None:
    StopFlag.forget()
    # Pusher and monitor would die of SIGUSR1; each worker puts its own handler in place.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    orphans.die_with_parent(os.getppid())
    orphans.children_die_with_me()
    LaneSentinel(stop_event, stopping.StopEvent(), uuid.uuid4())
