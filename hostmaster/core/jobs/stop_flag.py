"""A signal handler that only sets a flag: anything more can deadlock in a signal's context."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType


class StopFlag:
    """SIGTERM, SIGINT or SIGHUP raises it; `wait` returns at once when that happens."""

    def __init__(self) -> None:
        self.is_up = False
        self._reader, writer = os.pipe()
        os.set_blocking(writer, False)
        os.set_blocking(self._reader, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._raise)

    def _raise(self, signum: int, frame: FrameType | None) -> None:
        self.is_up = True

    def wait(self, seconds: float) -> bool:
        """Sleep until the flag is up or the time is over; answers whether it is up."""
        if not self.is_up and select.select([self._reader], [], [], max(seconds, 0))[0]:
            os.read(self._reader, 4096)
        return self.is_up

    @staticmethod
    def forget() -> None:
        """In a forked child that has signal handlers of its own."""
        signal.set_wakeup_fd(-1)
