"""Probe monitors in a process that does nothing else."""

from __future__ import annotations

import logging
import time
from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError, connections
from django.db.models.functions import Coalesce

from hostmaster.core import logs
from hostmaster.core.cluster.stop_flag import StopFlag
from monitors import scheduling, turns
from monitors.models import MonitorRun
from monitors.storage import database_now
from monitors.sweep import Sweep

logger = logging.getLogger(__name__)

SUMMARY_SECONDS = 30.0


class Command(BaseCommand):
    help = (
        "Check monitors until SIGTERM or Ctrl-C: the same loop as in the workers of qcluster, in a "
        "process of its own. Start as many as you like. Example: manage.py run_monitors"
    )

    # Checks of pages import every page; ours are run where a person sees them.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="check what is due now, then leave")

    def handle(self, *args: Any, **options: Any) -> None:
        self.check(tags=["hostmaster"])
        resident = Resident(Sweep(), StopFlag(settings.SHUTDOWN_GRACE_SECONDS))
        resident.run_once() if options["once"] else resident.run()


class Resident:
    """A sweep driven until the flag is up; then no more claims, what is under way may end, and the
    rest is handed back within the grace period."""

    def __init__(self, sweep: Sweep, flag: StopFlag) -> None:
        self.sweep = sweep
        self.flag = flag
        self._told: Counter[str] = Counter()
        self._told_at = time.monotonic()

    def run(self) -> None:
        logger.info("monitors are checked by %s", self.sweep.worker)
        while not self.flag.wait(turns.ROUND_SECONDS):
            self._try_step()
            if time.monotonic() - self._told_at >= SUMMARY_SECONDS:
                self._sum_up()
        self._stop()

    def run_once(self) -> None:
        """Each monitor that is due now, once; new ones too."""
        scheduling.follow_enabled()
        self.sweep.due_until = database_now()
        while not self.flag.wait(turns.ROUND_SECONDS):
            self.sweep.step()
            if not self.sweep.under_way and not self._is_one_left():
                break
        self._stop()

    def _is_one_left(self) -> bool:
        """Held back by us, or not claimed yet by anybody."""
        waiting = MonitorRun.objects.filter(next_check_at__isnull=False, lease_by="")
        was_due = Coalesce("held_back_since", "next_check_at")
        return waiting.annotate(was_due=was_due).filter(was_due__lte=self.sweep.due_until).exists()

    def _try_step(self) -> None:
        try:
            self.sweep.step()
        except DatabaseError as error:
            logger.error("the database is away: %s", logs.exception_text(error))
            connections.close_all()
            self.flag.wait(1.0)

    def _stop(self) -> None:
        ends_at = (self.flag.raised_at or time.monotonic()) + settings.SHUTDOWN_GRACE_SECONDS - 5
        while self.sweep.under_way and time.monotonic() < ends_at:
            time.sleep(turns.ROUND_SECONDS)
            self.sweep.step(claiming=False)
        self.sweep.hand_back_all()
        self.sweep.close()
        self._sum_up()

    def _sum_up(self) -> None:
        fresh = self.sweep.tally - self._told
        seconds = time.monotonic() - self._told_at
        self._told, self._told_at = self.sweep.tally.copy(), time.monotonic()
        succeeded, failed = fresh["success"], fresh["failure"] + fresh["unknown"]
        logs.log_run("run_monitors", succeeded + failed, succeeded, failed, seconds)
