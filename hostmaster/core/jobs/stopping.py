"""How a lane tells its workers that it stops, without touching them between two statements."""

from __future__ import annotations

import multiprocessing
import signal
import time
from types import FrameType

# Made at import, so every process forked later shares it. Without a lock: a worker killed while
# it held one would hang all others.
_lane_stops = multiprocessing.RawValue("b", 0)
_may_interrupt = False


class StoppingError(BaseException):
    """The worker stops: the running job is to be handed back."""


def announce() -> None:
    """In the lane: from now on no worker starts another job."""
    _lane_stops.value = 1


def is_stopping() -> bool:
    return bool(_lane_stops.value)


def allow_interrupt(allowed: bool) -> None:
    """Only a handler may be interrupted, never a claim or a settle."""
    global _may_interrupt
    _may_interrupt = allowed


def interrupt(signum: int, frame: FrameType | None) -> None:
    """A worker's handler of SIGUSR1: raise inside the running job, if one runs."""
    raise_in_handler(StoppingError())


def raise_in_handler(error: BaseException) -> None:
    """For signal handlers: end the running job with `error`, if one runs."""
    if _may_interrupt:
        allow_interrupt(False)
        raise error


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
