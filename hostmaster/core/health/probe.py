"""Can the database be reached? Answered within a deadline, whatever the network does."""

from __future__ import annotations

import logging
import threading
import time

from django.db import DatabaseError, connection

from hostmaster.core.logs import exception_text

logger = logging.getLogger(__name__)

FRESH_SECONDS = 1.0  # a stampede of probes costs one query a second
DEADLINE_SECONDS = 0.15  # /health/ready promises 200 ms


class DatabaseProbe:
    """Asks `SELECT 1` in a thread, one at a time. An attempt that hangs is left behind, and until
    it ends the answer is "no" at once: a black hole ties up one thread, not one a request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_overdue = False
        self._answer = False
        self._answered_at = float("-inf")

    def is_reachable(self, within: float = DEADLINE_SECONDS) -> bool:
        thread = self._asking()
        if thread is None:
            return self._answer
        if not self._is_overdue:
            thread.join(within)
            self._is_overdue = thread.is_alive()
        return self._answer and not thread.is_alive()

    def forget(self) -> None:
        """Ask anew at the next question."""
        self._answered_at = float("-inf")

    def wait(self) -> None:
        """Let the attempt under way, if any, come to its end."""
        if self._thread is not None:
            self._thread.join()

    def _asking(self) -> threading.Thread | None:
        """The attempt under way, a new one, or `None` while the last answer is fresh."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return self._thread
            if time.monotonic() - self._answered_at < FRESH_SECONDS:
                return None
            self._is_overdue = False
            self._thread = threading.Thread(target=self._ask, name="database-probe", daemon=True)
            self._thread.start()
            return self._thread

    def _ask(self) -> None:
        answer = False
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                cursor.fetchone()
            answer = True
        except DatabaseError as error:
            logger.warning("the database cannot be reached: %s", exception_text(error))
        finally:
            self._answer, self._answered_at = answer, time.monotonic()
            connection.close()


database_probe = DatabaseProbe()
