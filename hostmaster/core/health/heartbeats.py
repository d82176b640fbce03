"""Signs of life: each process writes its own row every `HEARTBEAT_SECONDS`."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import psutil
from django.conf import settings
from django.db import connection
from django.utils import timezone

from hostmaster.core.health.models import Heartbeat
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.logs import exception_text

logger = logging.getLogger(__name__)


def interval_seconds() -> float:
    return float(getattr(settings, "HEARTBEAT_SECONDS", 15.0))


def beat(kind: str, lane: str = "", name: str = "", *, jobs_done: int = 0) -> None:
    """Write this process's heartbeat. Raises `DatabaseError`.

    `name` tells processes apart; by default it is made of kind, lane, host and pid.
    """
    process = psutil.Process()
    with process.oneshot():
        cpu = process.cpu_times()
        figures = {
            "kind": Heartbeat.Kind(kind),
            "lane": lane,
            "host": socket.gethostname(),
            "pid": process.pid,
            "started_at": datetime.fromtimestamp(process.create_time(), UTC),
            "beat_at": timezone.now(),
            "rss_bytes": process.memory_info().rss,
            "cpu_seconds": cpu.user + cpu.system,
            "jobs_done": jobs_done,
        }
    # One statement on both databases; read-then-write would race with nobody but cost two.
    Heartbeat.objects.bulk_create(
        [Heartbeat(name=name or process_name(kind, lane), **figures)],
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=list(figures),
    )


def process_name(kind: str, lane: str = "") -> str:
    return ":".join(filter(None, (kind, lane))) + f"@{socket.gethostname()}:{os.getpid()}"


def bury_dead_neighbours(kind: str, lane: str) -> None:
    """Remove the rows of processes of this host that are gone: workers are recycled often, and
    each leaves one. A lane that died as a whole keeps its rows, so it is missed."""
    neighbours = Heartbeat.objects.filter(kind=kind, lane=lane, host=socket.gethostname())
    dead = [
        name for name, pid in neighbours.values_list("name", "pid") if not psutil.pid_exists(pid)
    ]
    if dead:
        neighbours.filter(name__in=dead).delete()


class Pulse:
    """A thread that beats until stopped; a beat that fails is logged and the next one tried."""

    def __init__(self, kind: str, lane: str, *, jobs_done: Callable[[], int] = lambda: 0) -> None:
        self._kind = kind
        self._lane = lane
        self._jobs_done = jobs_done
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    @property
    def is_beating(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        self._try(lambda: bury_dead_neighbours(self._kind, self._lane))
        while True:
            self._try(lambda: beat(self._kind, self._lane, jobs_done=self._jobs_done()))
            if self._stopped.wait(interval_seconds()):
                return

    def _try(self, write: Callable[[], None]) -> None:
        try:
            write()
        except Exception as error:  # noqa: BLE001 a missed beat must not end the thread
            logger.warning("heartbeat not written: %s", exception_text(error))
        finally:
            connection.close()


class _Worker:
    """What this process, if it is a django-q2 worker, has done so far."""

    pulse: Pulse | None = None
    pid = 0
    jobs_done = 0


def on_worker_start(**_: object) -> None:
    """django-q2's `post_spawn`, in each worker after its fork. Never raises: that would end it."""
    if _Worker.pid == os.getpid():
        return
    _Worker.pid, _Worker.jobs_done = os.getpid(), 0
    try:
        _Worker.pulse = Pulse(
            Heartbeat.Kind.WORKER, lane_of_process(), jobs_done=lambda: _Worker.jobs_done
        )
        _Worker.pulse.start()
    except Exception as error:  # noqa: BLE001 a raising receiver kills django-q2's worker
        logger.warning("no heartbeat in this worker: %s", exception_text(error))


def stop_worker_pulse() -> None:
    """For a process that stops being a worker without ending."""
    if _Worker.pulse is not None:
        _Worker.pulse.stop()
    _Worker.pulse, _Worker.pid = None, 0


def on_task_done(**_: object) -> None:
    """django-q2's `post_execute_in_worker`. It only counts, so it cannot raise."""
    _Worker.jobs_done += 1


def lane_of_process() -> str:
    """The lane this process works for: `Q_CLUSTER_NAME`, else the default lane."""
    return os.environ.get("Q_CLUSTER_NAME") or Lane.DEFAULT.value
