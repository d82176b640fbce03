"""Threads of the product that go on after a test: what they write is not the next test's."""

from __future__ import annotations

import os
import threading
import time

from alerts import delivery

SECONDS = 30
# Messages that outlasted their turn, and checks under way.
NAMES = ("notifications", "monitor-keeper")


def wait_for_stragglers() -> None:
    """Until they have ended, or for so long: some wait for a server the test has yet to close."""
    if delivery._pool_of.cache_info().currsize:
        delivery._pool_of(os.getpid()).shutdown(wait=False)
        delivery._pool_of.cache_clear()
    ends = time.monotonic() + SECONDS
    for thread in threading.enumerate():
        if thread.name.startswith(NAMES):
            thread.join(max(ends - time.monotonic(), 0))
