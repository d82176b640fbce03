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
from typing import Any

import psutil
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connections
from django.db.models import Q
from django_q.cluster import Sentinel
from django_q.signals import post_spawn

from hostmaster.core import logs
from hostmaster.core.health import heartbeats
from hostmaster.core.jobs import drains, engine, leases, orphans, schedules, stopping, sweep
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.jobs.stop_flag import StopFlag
from hostmaster.core.jobs.watchdog import Watchdog

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
        self.flag = StopFlag()
        self.watchdog = Watchdog(lane)
        self._grace = float(settings.SHUTDOWN_GRACE_SECONDS)
        self._failing_since: float | None = None
        self._beat_at = 0.0
        self._stop_event = FORK.Event()
        self._sentinel = FORK.Process(target=_run_sentinel, args=(self._stop_event,))

    def run(self) -> int:
        post_spawn.connect(stopping.listen, dispatch_uid="hostmaster.stopping.listen")
        self.tick()  # also loads what every worker needs, once, before the forks
        self._start_cluster()
        logger.info("lane %s runs", self.lane.value)
        while not self.flag.wait(settings.TICK_SECONDS):
            if not self._sentinel.is_alive():
                logger.critical("lane %s: its cluster died", self.lane.value)
                return self._leave_at_once()
            if not self.tick():
                logger.critical("lane %s: due work waits and nothing moves", self.lane.value)
                return self._leave_at_once()
        return self.stop()

    def _start_cluster(self) -> None:
        self._beat_at = 0.0  # the workers' first beat comes with the next round
        connections.close_all()  # a connection must not be shared with a fork
        gc.collect()
        gc.freeze()  # what is loaded now stays shared: the collector would touch every page
        self._sentinel.start()

    def tick(self) -> bool:
        """One round of the clock. `False`: this process is of no more use."""
        try:
            close_old_connections()
            schedules.fire_due(self.lane)
            sweep.sweep(self.lane)
            drains.ring_due(self.lane)
            self._beat()
            stuck = self.watchdog.is_stuck()
        except Exception as error:  # noqa: BLE001 the loop must outlive any one round
            return self._note_failure(error)
        self._failing_since = None
        return not stuck

    def stop(self) -> int:
        """Soft until five seconds before the end of the grace, then hand jobs back."""
        started = time.monotonic()
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

    def _note_failure(self, error: Exception) -> bool:
        """A failed round is repeated; a lane that fails as long as the watchdog waits leaves."""
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        logger.error("lane %s: %s", self.lane.value, logs.exception_text(error))
        if isinstance(error, DatabaseError):
            connections.close_all()
        return now - self._failing_since < float(settings.WATCHDOG_SECONDS)

    def _beat(self) -> None:
        if time.monotonic() - self._beat_at >= heartbeats.interval_seconds():
            self._beat_at = time.monotonic()
            heartbeats.beat("lane", self.lane.value, leases.lane_instance())
            heartbeats.beat_workers(self.lane.value)

    def _leave_at_once(self) -> int:
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
        mine = Q(lease_owner__startswith=f"{leases.lane_instance()}/")
        try:
            for jobs in sweep.lane_jobs(self.lane):
                for job in jobs.running().filter(mine):
                    engine.hand_back(job)
        except DatabaseError as error:
            logger.error("jobs not handed back, their leases will end: %s", error)


def _run_sentinel(stop_event: Any) -> None:
    StopFlag.forget()
    # Pusher and monitor would die of SIGUSR1; each worker puts its own handler in place.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    orphans.die_with_parent(os.getppid())
    orphans.children_die_with_me()
    Sentinel(stop_event, FORK.Event(), uuid.uuid4())
