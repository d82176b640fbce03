"""START_WORKERS: the web server starts one `manage.py qcluster` and stops it with itself.

For a laptop or a very small site. Of several server processes only the first does so.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import IO, Any

from django.conf import settings

from hostmaster.site.processes import Child, stop, workers_command

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]


class EmbeddedWorkers:
    """Holds a lock on a file while its workers run; who does not get the lock starts none."""

    def __init__(self) -> None:
        self._child: Child | None = None
        self._lock: IO[str] | None = None

    def start(self) -> None:
        if not settings.START_WORKERS or not self._take_lock():
            return
        self._child = Child("workers", workers_command(), os.environ)
        self._child.start()
        logger.info("START_WORKERS: the workers run beside the web server")

    def stop(self) -> None:
        if self._child is not None:
            stop([self._child], float(settings.SHUTDOWN_GRACE_SECONDS) + 1)
        if self._lock is not None:
            self._lock.close()

    def _take_lock(self) -> bool:
        folder = settings.BASE_DIR / "var"
        folder.mkdir(exist_ok=True)
        lock = (folder / "workers.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._lock = lock
        return True


async def lifespan(
    receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """The server's start and end, by the ASGI protocol."""
    workers = EmbeddedWorkers()
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            workers.start()  # here, in the main thread, whose end would end the child
            await send({"type": "lifespan.startup.complete"})
        else:
            await asyncio.to_thread(workers.stop)
            await send({"type": "lifespan.shutdown.complete"})
            return
