"""One scan run in this process, to its end: attempts, the waits between them, and giving way."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import FrameType
from typing import Any

from django.utils import timezone
from django_q.exceptions import TimeoutException

from hostmaster.core.jobs import engine, leases, stopping
from scans.aws import shell
from scans.models import ScanJob
from scans.presentation import LOOK_SECONDS, ScanView

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

# Between two attempts the workers leave the scan to us; should we die, they take it that later.
OURS_FOR = timedelta(minutes=1)

ACTOR = "run_scan"
GIVE_WAY_TRIES = 5

Handler = Callable[[int, FrameType | None], Any] | int | None


class Foreground:
    """Runs `job` here when this process holds it; follows one that another process runs, and
    takes it over when that one is gone.

    Ctrl-C cancels a scan of ours: a person is there and wants an end. SIGTERM gives it back to
    the workers, its attempt uncounted; one by the shell's login is cancelled, for they cannot run
    it. What another process runs goes on.
    """

    def __init__(self, job: ScanJob, view: ScanView, *, is_retrying: bool = True) -> None:
        self.job = job
        self.stopped_by: int | None = None
        self.is_ours = self._is_held
        self._view = view
        self._is_retrying = is_retrying
        self._retry_at: datetime | None = None  # set: it waits for its next attempt, by us

    def run(self) -> ScanJob:
        """Until the scan is over or a signal comes (`stopped_by`)."""
        with self._signals(), shell.lent_shell_login():
            while self.job.is_open and self.stopped_by is None:
                self._step()
            if self.is_ours and self.stopped_by is not None:
                self._give_way()
        return self.job

    @property
    def _is_held(self) -> bool:
        return self.job.is_running and leases.is_ours(self.job.lease_owner)

    def _step(self) -> None:
        if self._is_held:
            self._attempt()
        elif self._retry_at is not None:
            self._wait_for_retry(self._retry_at)
        elif engine.claim(self.job):
            self.is_ours = True
        else:
            self._follow()

    def _attempt(self) -> None:
        job = self.job
        if not self._is_retrying and not job.update_guarded(max_attempts=job.attempts):
            self._reload()
            return
        with self._view.watching(job), self._deadline():
            engine.execute(job)
        self._reload()
        if job.state == job.WAITING_STATE and self.stopped_by is None:
            self._keep_for_retry()

    def _keep_for_retry(self) -> None:
        at = self.job.run_at
        if not self.job.update_guarded(run_at=at + OURS_FOR):
            self._reload()
            return
        self._retry_at = at
        reason = self.job.errors[-1]["message"]
        seconds = max((at - timezone.now()).total_seconds(), 0)
        self._view.say(
            f"Attempt {self.job.attempts} failed: {reason} Next attempt in {seconds:.0f} s."
        )

    def _wait_for_retry(self, at: datetime) -> None:
        left = (at - timezone.now()).total_seconds()
        if left > 0:
            self._view.show_waiting(left)
            time.sleep(min(left, LOOK_SECONDS))
            return
        self._retry_at = None
        if not engine.claim(self.job, early=True):
            self.is_ours = False  # somebody cancelled it, or pressed Run now
            self._reload()

    def _follow(self) -> None:
        self._view.show(self.job)
        time.sleep(LOOK_SECONDS)
        if self.job.is_running:
            engine.expire(self.job)  # changes nothing while its lease holds
        self._reload()

    def _give_way(self) -> None:
        for _ in range(GIVE_WAY_TRIES):
            self._reload()
            if not self.job.is_open or self._gave_way():
                return

    def _gave_way(self) -> bool:
        if self.stopped_by == signal.SIGINT or self.job.uses_shell_login:
            return self.job.cancel(actor=ACTOR, reason="Stopped in the shell that ran it.")
        if self._is_held:
            return engine.hand_back(self.job)
        # A worker may have it already. If not, it need not wait for the time we kept it for.
        return self.job.is_running or self.job.run_now(actor=ACTOR)

    def _reload(self) -> None:
        self.job.refresh_from_db()

    @contextmanager
    def _deadline(self) -> Iterator[None]:
        """What django-q2's timer does in a worker."""
        signal.setitimer(signal.ITIMER_REAL, self.job.job_kind.deadline.total_seconds())
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        before: dict[signal.Signals, Handler] = {
            number: signal.signal(number, self._stop) for number in STOP_SIGNALS
        }
        before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._ring)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self.stopped_by = self.stopped_by or signum
        # Again and again: now may be just before the handler that is to be interrupted.
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.2)

    def _ring(self, signum: int, frame: FrameType | None) -> None:
        is_late = self.stopped_by is None
        stopping.raise_in_handler(TimeoutException() if is_late else stopping.StoppingError())
