"""A signal handler that only sets a flag: anything more can deadlock in a signal's context."""

from __future__ import annotations

import math
import os
import select
import signal
import time
from types import FrameType

from hostmaster.core.jobs import stopping


class StopFlag:
    """SIGTERM, SIGINT or SIGHUP raises it; `wait` returns at once when that happens.

    From then on the process has `grace_seconds` to live, or SIGALRM ends it: a database that is
    silent blocks whatever asks it, and no code of ours runs. `keep_alive` is the same rope for a
    process that is not told to stop.
    """

    def __init__(self, grace_seconds: float) -> None:
        self.is_up = False
        self.raised_at = 0.0  # by time.monotonic()
        self._grace = grace_seconds
        self._reader, writer = os.pipe()
        os.set_blocking(writer, False)
        os.set_blocking(self._reader, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._raise)

    def _raise(self, signum: int, frame: FrameType | None) -> None:
        if not self.is_up:
            self.is_up = True
            self.raised_at = time.monotonic()
            stopping.announce()
            signal.alarm(math.ceil(self._grace))

    def wait(self, seconds: float) -> bool:
        """Sleep until the flag is up or the time is over; answers whether it is up."""
        if not self.is_up and select.select([self._reader], [], [], max(seconds, 0))[0]:
            os.read(self._reader, 4096)
        return self.is_up

    def keep_alive(self, seconds: float) -> None:
        """Call again within so many seconds, or SIGALRM ends the process."""
        if not self.is_up:
            signal.alarm(math.ceil(seconds))

    @staticmethod
    def forget() -> None:
        """In a forked child that has signal handlers of its own."""
        signal.set_wakeup_fd(-1)
