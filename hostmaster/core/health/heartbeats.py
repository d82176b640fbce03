"""Signs of life. Supervisors and lanes write their own row every `HEARTBEAT_SECONDS`; a lane also
writes those of its workers.

A thread and a connection in each worker were tried first: 5 MB a worker while nothing happens.
Now a worker only counts its tasks, in memory it shares with its lane.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
from datetime import UTC, datetime
from typing import Any

import psutil
from django.conf import settings
from django.utils import timezone

from hostmaster.core.health.models import Heartbeat

SLOTS = 4096  # consecutive process ids never share one

# Made at import, so a worker forked later shares them with its lane. One writer a slot: no lock,
# which a killed worker could leave taken.
_pids = multiprocessing.RawArray("q", SLOTS)
_tasks_done = multiprocessing.RawArray("q", SLOTS)


def interval_seconds() -> float:
    return float(settings.HEARTBEAT_SECONDS)


def beat(kind: str, lane: str = "", name: str = "", *, jobs_done: int = 0) -> None:
    """Write this process's heartbeat. Raises `DatabaseError`.

    `name` tells processes apart; by default it is made of kind, lane, host and pid.
    """
    _store([_row(psutil.Process(), Heartbeat.Kind(kind), lane, name=name, jobs_done=jobs_done)])


def beat_workers(lane: str) -> int:
    """Write the heartbeats of the workers below this process, a lane, and remove those of workers
    that are gone. Answers how many live. Raises `DatabaseError`."""
    rows = []
    for child in psutil.Process().children(recursive=True):
        slot = child.pid % SLOTS
        if _pids[slot] != child.pid:
            continue  # the sentinel, the pusher or the monitor
        try:
            row = _row(child, Heartbeat.Kind.WORKER, lane, jobs_done=_tasks_done[slot])
        except psutil.NoSuchProcess:
            continue
        rows.append(row)
    _store(rows)
    bury_dead_neighbours(Heartbeat.Kind.WORKER, lane)
    return len(rows)


def process_name(kind: str, lane: str, pid: int) -> str:
    return ":".join(filter(None, (kind, lane))) + f"@{socket.gethostname()}:{pid}"


def bury_dead_neighbours(kind: str, lane: str) -> None:
    """Remove the rows of processes of this host that are gone: workers are recycled often, and
    each leaves one. A lane that died as a whole keeps its rows, so it is missed."""
    neighbours = Heartbeat.objects.filter(kind=kind, lane=lane, host=socket.gethostname())
    dead = [
        name for name, pid in neighbours.values_list("name", "pid") if not psutil.pid_exists(pid)
    ]
    if dead:
        neighbours.filter(name__in=dead).delete()


def on_worker_start(**_: object) -> None:
    """django-q2's `post_spawn`, in each worker after its fork. It must not raise."""
    slot = os.getpid() % SLOTS
    _pids[slot], _tasks_done[slot] = os.getpid(), 0


def on_task_done(**_: object) -> None:
    """django-q2's `post_execute_in_worker`. It must not raise."""
    _tasks_done[os.getpid() % SLOTS] += 1


def _row(
    process: psutil.Process, kind: Heartbeat.Kind, lane: str, *, name: str = "", jobs_done: int
) -> Heartbeat:
    with process.oneshot():
        cpu = process.cpu_times()
        return Heartbeat(
            name=name or process_name(kind, lane, process.pid),
            kind=kind,
            lane=lane,
            host=socket.gethostname(),
            pid=process.pid,
            started_at=datetime.fromtimestamp(process.create_time(), UTC),
            beat_at=timezone.now(),
            rss_bytes=process.memory_info().rss,
            cpu_seconds=cpu.user + cpu.system,
            jobs_done=jobs_done,
        )


def _store(rows: list[Heartbeat]) -> None:
    """One statement on both databases."""
    columns: list[Any] = [field.name for field in Heartbeat._meta.fields if field.name != "name"]
    Heartbeat.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["name"], update_fields=columns
    )
