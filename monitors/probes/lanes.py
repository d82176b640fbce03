"""One `CurlMulti` with the threads that look names up for it."""

from __future__ import annotations

import threading
from typing import Any

import pycurl


class Lane:
    """Checks that share resolver threads. A lane that is left takes no new ones."""

    def __init__(self) -> None:
        self.multi = pycurl.CurlMulti()
        self.in_flight = 0
        self.slow_lookups = 0
        self.is_left = False

    def add(self, handle: Any) -> None:
        self.multi.add_handle(handle)
        self.in_flight += 1

    def remove(self, handle: Any) -> None:
        self.multi.remove_handle(handle)
        self.in_flight -= 1

    def close(self, wait_seconds: float = 0.0) -> None:
        """libcurl waits here for lookups that hang, up to 10 s. Nobody else has to: a thread of
        no importance does."""
        closing = threading.Thread(target=self.multi.close, name="close-lane", daemon=True)
        closing.start()
        closing.join(wait_seconds)
