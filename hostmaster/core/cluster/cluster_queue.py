"""What django-q2's queues between processes lack: to survive the death of who uses them.

A `multiprocessing.Lock` of a killed process stays taken. A waiting worker holds the one for
reading, so nobody of the lane would read any more; one that ends a task holds its timer's, which
the sentinel wants before it asks whether the worker lives.
"""

from __future__ import annotations

import fcntl
import tempfile
import time
from multiprocessing import RawValue, Value
from typing import Any

from django_q.cluster import Sentinel
from django_q.signals import pre_execute
from django_q.worker import worker

STEP_SECONDS = 0.01


class ProcessLock:
    """A lock that the kernel frees when the process that holds it dies.

    For one thread of each process, which may take it again while it has it.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 held as long as the process lives

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        if self._depth or (block and timeout is None):
            if not self._depth:
                fcntl.lockf(self._file, fcntl.LOCK_EX)
            self._depth += 1
            return True
        ends = time.monotonic() + (timeout or 0.0)
        while not self._try():
            if not block or time.monotonic() >= ends:
                return False
            time.sleep(STEP_SECONDS)
        self._depth += 1
        return True

    def release(self) -> None:
        self._depth -= 1
        if not self._depth:
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
    """django-q2's sentinel, whose workers and monitor leave no lock for reading and no timer
    behind. The locks for writing are as they were: see docs/adr/0006."""

    def spawn_cluster(self) -> None:
        queues: list[Any] = [self.task_queue, self.result_queue]
        for queue in queues:
            queue._rlock = ProcessLock()  # before anybody is forked who uses it
        super().spawn_cluster()

    def spawn_worker(self) -> None:
        lock: Any = ProcessLock()  # anything that can be acquired is a lock to it
        timer = Value("f", -1, lock=lock)
        self.spawn_process(worker, self.task_queue, self.result_queue, timer, self.timeout)
