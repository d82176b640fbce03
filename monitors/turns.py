"""How workers of a lane share the sweep with other work.

A drain's turn claims and settles; it ends when the turn is over, however long a probe still takes.
Probes belong to the process, not to the turn: what is under way then is settled by the next turn
in this process, or by a thread that lives as long as something is left (each time one short
transaction, as any service's). So no check is lost because a turn ended, and no other drain waits
for a slow host.

Outside a lane (`qcluster --drain`, a test) nobody comes back, so what is under way is waited for:
it counts as due, turn by turn.
"""

from __future__ import annotations

import logging
import os
import threading
import time

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from hostmaster.core import logs
from hostmaster.core.jobs import leases, stopping
from hostmaster.core.jobs.drains import Turn
from monitors.models import Monitor, MonitorRun
from monitors.sweep import Sweep

logger = logging.getLogger(__name__)

ROUND_SECONDS = 0.05
LINGER_SECONDS = 1.0  # after the last claim; on SQLite others may be waiting for the turn


class TurnTaker:
    """The sweep of this process, its turns, and the thread for what a turn leaves."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self._stepping = threading.Lock()
        self._keeper: threading.Thread | None = None

    def take(self, turn: Turn) -> int:
        """Work until the turn is over or nothing is due. Answers how many checks it moved on; what
        is still under way outside a lane counts as one."""
        moved, last_moved = 0, time.monotonic()
        try:
            while not turn.is_over():
                with self._stepping:
                    step = self.sweep.step()
                moved += step
                last_moved = time.monotonic() if step else last_moved
                if self._may_leave(time.monotonic() - last_moved):
                    break
                time.sleep(ROUND_SECONDS)
            with self._stepping:
                moved += self.sweep.settle_all()
        finally:
            if _is_in_lane():
                self._leave_the_rest()
        return moved or self.is_awaited()

    def is_awaited(self) -> bool:
        """Something is under way that only this process can settle, and nobody else drives it."""
        return self.sweep.under_way > 0 and not _is_in_lane()

    def _may_leave(self, idle_seconds: float) -> bool:
        if not _is_in_lane():
            return not self.sweep.under_way and not is_something_due()
        if connection.features.has_select_for_update_skip_locked:
            return idle_seconds > LINGER_SECONDS
        return not is_something_due()

    def _leave_the_rest(self) -> None:
        is_kept = self._keeper is not None and self._keeper.is_alive()
        if self.sweep.under_way and not is_kept:
            # No daemon: a worker that leaves waits for it, which takes a time-out at the longest.
            self._keeper = threading.Thread(target=self._keep, name="monitor-keeper")
            self._keeper.start()

    def _keep(self) -> None:
        """Settle what lands until nothing is under way; give up in time when the lane stops."""
        stops_at = float("inf")
        while self.sweep.under_way:
            time.sleep(ROUND_SECONDS)
            if stopping.is_stopping() and stops_at == float("inf"):
                stops_at = time.monotonic() + max(settings.SHUTDOWN_GRACE_SECONDS - 10, 1)
            try:
                with self._stepping:
                    self.sweep.step(claiming=False)
                    if time.monotonic() >= stops_at:
                        self.sweep.hand_back_all()
            except (DatabaseError, InterfaceError) as error:
                logger.warning("results wait for the database: %s", logs.exception_text(error))
                connection.close()
                if time.monotonic() >= stops_at:
                    break  # their leases will end
        connection.close()


def is_something_due() -> bool:
    """One look at an index that holds what is scheduled, one at one that holds nothing but new
    and switched monitors."""
    return MonitorRun.objects.due().exists() or Monitor.objects.unscheduled().exists()


def of_this_process() -> TurnTaker:
    """Made when first asked for, and anew in a forked child."""
    global _taker, _taker_pid
    if _taker is None or _taker_pid != os.getpid():
        _taker, _taker_pid = TurnTaker(Sweep()), os.getpid()
    return _taker


def is_awaited_here() -> bool:
    return _taker is not None and _taker_pid == os.getpid() and _taker.is_awaited()


def _is_in_lane() -> bool:
    return bool(leases.lane_instance())


_taker: TurnTaker | None = None
_taker_pid = 0
