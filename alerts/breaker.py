"""The circuit breaker of a channel: what is down is asked now and then, not by every message."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta

OPENS_AT = 5  # failures in a row
FIRST_SECONDS, LONGEST_SECONDS = 30, 15 * 60
GIVES_UP_AFTER = timedelta(hours=120)
JITTER = 0.1


@dataclass(frozen=True)
class Breaker:
    """Closed while `open_seconds` is 0. When its time is over one message is let through; its
    success closes it, its failure doubles the time."""

    failures_in_row: int = 0
    open_seconds: int = 0

    @property
    def is_open(self) -> bool:
        return self.open_seconds > 0

    def after_failure(self, *, was_probe: bool) -> Breaker:
        failures = self.failures_in_row + 1
        if self.is_open:
            # Messages that were on their way when it opened fail too; only a probe tells more.
            longer = min(2 * self.open_seconds, LONGEST_SECONDS) if was_probe else self.open_seconds
            return Breaker(failures, longer)
        return Breaker(failures, FIRST_SECONDS if failures >= OPENS_AT else 0)

    def pause(self) -> timedelta:
        """How long to let nothing through, jittered: channels of one host must not come back as
        one."""
        spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 no secret hangs on it
        return timedelta(seconds=self.open_seconds) * spread
