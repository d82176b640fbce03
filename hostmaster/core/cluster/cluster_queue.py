"""What django-q2's queues between processes lack: to survive the death of who reads them.

A waiting worker holds the lock for reading, and a `multiprocessing.Lock` of a killed process
stays taken: until the watchdog's limit, nobody of the lane would read any more.
"""

from __future__ import annotations

import fcntl
import tempfile
import time
from multiprocessing import RawValue
from typing import Any

from django_q.cluster import Sentinel
from django_q.signals import pre_execute

STEP_SECONDS = 0.01


class ReadLock:
    """Stands for the lock of a `multiprocessing.Queue`; the kernel frees it when its holder dies.

    For one thread of each process, and one such lock a process: what holds it is the process.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 held as long as the process lives

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        if block and timeout is None:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            return True
        ends = time.monotonic() + (timeout or 0.0)
        while not self._try():
            if not block or time.monotonic() >= ends:
                return False
            time.sleep(STEP_SECONDS)
        return True

    def release(self) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _try(self) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class Progress:
    """Counts the tasks all workers of a lane have begun, roughly: what counts is that it moves.

    Without a lock, which a killed worker could keep: two at the same time may count as one.
    """

    def __init__(self) -> None:
        self._begun = RawValue("L", 0)

    def listen(self) -> None:
        """In the parent of all workers, before they are forked."""
        pre_execute.connect(self._count, dispatch_uid="hostmaster.cluster.progress")

    def __call__(self) -> int:
        return int(self._begun.value)

    def _count(self, **_: object) -> None:
        self._begun.value += 1


class LaneSentinel(Sentinel):  # type: ignore[misc] # django-q2 is untyped
    """django-q2's sentinel, whose workers and monitor leave no lock behind."""

    def spawn_cluster(self) -> None:
        queues: list[Any] = [self.task_queue, self.result_queue]
        for queue in queues:
            queue._rlock = ReadLock()  # before anybody is forked who uses it
        super().spawn_cluster()
