"""How far a scan is, over all its stages."""

from __future__ import annotations

import time
from dataclasses import dataclass

from hostmaster.core.jobs.models import LeaseLostError
from scans.models import ScanJob

TOLD_EVERY_SECONDS = 1.0


@dataclass
class Progress:
    """Steps done of a total that is known from the beginning, told at most once a second.

    Raises `LeaseLostError` when the job was taken away meanwhile.
    """

    job: ScanJob
    total: int = 0
    done: int = 0
    _told_at: float = 0.0

    def begin(self, total: int) -> None:
        self.total, self.done = total, 0
        self._tell()

    def advance(self, steps: int = 1) -> None:
        self.done = min(self.total, self.done + steps)
        is_last = self.done == self.total
        if is_last or time.monotonic() - self._told_at >= TOLD_EVERY_SECONDS:
            self._tell()

    def _tell(self) -> None:
        self._told_at = time.monotonic()
        told = self.job.update_guarded(progress_done=self.done, progress_total=self.total)
        if not told:
            raise LeaseLostError(str(LeaseLostError.__doc__))
