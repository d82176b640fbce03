"""One scan run in this process, to its end: attempts, the waits between them, and giving way."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import FrameType, TracebackType
from typing import Any, Self

from django.db import Error
from django.utils import timezone
from django_q.exceptions import TimeoutException

from hostmaster.core.jobs import engine, leases, stopping
from scans.aws import shell
from scans.models import ScanJob
from scans.presentation import LOOK_SECONDS, ScanView

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
RING_AGAIN_SECONDS = 0.2

# Between two attempts the workers leave the scan to us; should we die, they take it that later.
OURS_FOR = timedelta(minutes=1)

ACTOR = "run_scan"
GIVE_WAY_TRIES = 5

Handler = Callable[[int, FrameType | None], Any] | int | None


class StopSignals:
    """Within it Ctrl-C and SIGTERM end what may be interrupted, and `stopped_by` says which came;
    so does SIGALRM for a deadline."""

    def __init__(self) -> None:
        self.stopped_by: int | None = None
        self._before: dict[signal.Signals, Handler] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._stop) for number in STOP_SIGNALS}
        self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._ring)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.silence()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def deadline(self, seconds: float) -> Iterator[None]:
        """What django-q2's timer does in a worker."""
        signal.setitimer(signal.ITIMER_REAL, seconds, RING_AGAIN_SECONDS)
        if self.stopped_by is not None:
            self._ring_soon()  # it came just before, and its alarm was taken away
        try:
            yield
        finally:
            self.silence()

    def silence(self) -> None:
        """No alarm any more."""
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self.stopped_by = self.stopped_by or signum
        self._ring_soon()

    def _ring_soon(self) -> None:
        # Again and again: now may be just before the handler that is to be interrupted.
        signal.setitimer(signal.ITIMER_REAL, 0.01, RING_AGAIN_SECONDS)

    def _ring(self, signum: int, frame: FrameType | None) -> None:
        is_late = self.stopped_by is None
        stopping.raise_in_handler(TimeoutException() if is_late else stopping.StoppingError())


def held_by_this_process() -> ScanJob | None:
    """The scan this process has claimed and did not end."""
    found: ScanJob | None = ScanJob.objects.held_by_lane(leases.own_origin()).first()
    return found


class Foreground:
    """Runs `job` here when this process holds it; follows one that another process runs, and
    takes it over when that one is gone.

    Ctrl-C cancels a scan of ours: a person is there and wants an end. SIGTERM gives it back to
    the workers, its attempt uncounted; one by the shell's login is cancelled, for they cannot run
    it. What another process runs goes on.
    """

    def __init__(
        self, job: ScanJob, view: ScanView, signals: StopSignals, *, is_retrying: bool = True
    ) -> None:
        self.job = job
        self.is_ours = self._is_held
        self.kept_because: Error | None = None  # it could not be given back
        self._view = view
        self._signals = signals
        self._is_retrying = is_retrying
        self._retry_at: datetime | None = None  # set: it waits for its next attempt, by us

    def run(self) -> ScanJob:
        """Until the scan is over or a signal comes."""
        with shell.lent_shell_login():
            while self.job.is_open and not self._is_stopped:
                self._step_on()
            if self.is_ours and self._is_stopped:
                self._give_way()
        return self.job

    @property
    def _is_stopped(self) -> bool:
        return self._signals.stopped_by is not None

    @property
    def _is_held(self) -> bool:
        return self.job.is_running and leases.is_ours(self.job.lease_owner)

    def _step_on(self) -> None:
        try:
            self._step()
        except Error:
            if not self._is_stopped:
                raise
            stopping.drop_connections()  # giving way begins anew

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
        seconds = job.job_kind.deadline.total_seconds()
        with self._view.watching(job), self._signals.deadline(seconds):
            engine.execute(job)
        self._reload()
        if job.state == job.WAITING_STATE and not self._is_stopped:
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
        self._signals.silence()
        for _ in range(GIVE_WAY_TRIES):
            try:
                self._reload()
                if not self.job.is_open or self._gave_way():
                    self.kept_because = None
                    return
            except Error as error:
                self.kept_because = error
                stopping.drop_connections()
                time.sleep(LOOK_SECONDS)

    def _gave_way(self) -> bool:
        if self._signals.stopped_by == signal.SIGINT or self.job.uses_shell_login:
            return self.job.cancel(actor=ACTOR, reason="Stopped in the shell that ran it.")
        if self._is_held:
            return engine.hand_back(self.job)
        # A worker may have it already. If not, it need not wait for the time we kept it for.
        return self.job.is_running or self.job.run_now(actor=ACTOR)

    def _reload(self) -> None:
        self.job.refresh_from_db()
