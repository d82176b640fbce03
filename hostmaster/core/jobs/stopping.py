"""How a lane tells its workers that it stops, without touching them between two statements."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import TypeVar

from django.db import connections

Result = TypeVar("Result")

# Made at import, so every process forked later shares it. Without a lock: a worker killed while
# it held one would hang all others.
_lane_stops = multiprocessing.RawValue("b", 0)

# Python drops an error raised in a __del__, and SQLite makes another one of it in a function of
# Django's. So a repeated signal may raise again, but not before the first had time to come out.
AGAIN_SECONDS = 1.0

_may_interrupt = False
_raised: BaseException | None = None
_raised_at = 0.0  # by time.monotonic()


class StoppingError(SystemExit):
    """The worker stops: the running job is to be handed back.

    A SystemExit, as django-q2's TimeoutException is: for those psycopg cancels the statement that
    was cut off. For any other it would leave the server at it.
    """


def announce() -> None:
    """In the lane: from now on no worker starts another job."""
    _lane_stops.value = 1


def is_stopping() -> bool:
    return bool(_lane_stops.value)


def run_interruptible(work: Callable[[], Result]) -> Result:
    """Only a handler may be interrupted, never a claim or a settle. One that was, and failed, has
    failed of that, whatever it made of it. Call `drop_connections()` then."""
    try:
        try:
            _allow_interrupt(True)
            return work()
        finally:
            _allow_interrupt(False)
    except Exception as error:
        if _raised is not None:
            raise _raised from error
        raise
    finally:
        _allow_interrupt(False)  # an interrupt may have come instead of the line that ends them


def _allow_interrupt(allowed: bool) -> None:
    global _may_interrupt, _raised
    if allowed:
        _raised = None
    _may_interrupt = allowed


def interrupt(signum: int, frame: FrameType | None) -> None:
    """A worker's handler of SIGUSR1: raise inside the running job, if one runs."""
    raise_in_handler(StoppingError())


def raise_in_handler(error: BaseException) -> None:
    """For signal handlers: end the running job with `error`, if one runs."""
    global _raised, _raised_at
    now = time.monotonic()
    if _may_interrupt and (_raised is None or now - _raised_at >= AGAIN_SECONDS):
        _raised, _raised_at = error, now
        raise error


def drop_connections() -> None:
    """After an interrupt: begin this thread's database connections anew.

    It may have come in the middle of a statement, or of Django's or psycopg's own bookkeeping of
    a transaction or a lock: nothing the old ones say can be relied on.
    """
    for old in connections.all(initialized_only=True):
        del connections[old.alias]
        with suppress(Exception):
            old.close()


def listen(**_: object) -> None:
    """In each worker after its fork: SIGUSR1 means "hand your job back"."""
    signal.signal(signal.SIGUSR1, interrupt)


class StopEvent:
    """What django-q2's sentinel waits on, without a lock.

    A multiprocessing.Event waits for its waiters when it is set: for ever, once a signal to all
    processes has killed the sentinel that waited.
    """

    STEP_SECONDS = 0.1

    def __init__(self) -> None:
        self._is_set = multiprocessing.RawValue("b", 0)

    def set(self) -> None:
        self._is_set.value = 1

    def is_set(self) -> bool:
        return bool(self._is_set.value)

    def wait(self, timeout: float) -> bool:
        ends = time.monotonic() + timeout
        while not self.is_set() and (left := ends - time.monotonic()) > 0:
            time.sleep(min(left, self.STEP_SECONDS))
        return self.is_set()
