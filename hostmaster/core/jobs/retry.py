"""When next, or never: the answer from the attempts made and the error."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings

HIGHEST_POWER = 12  # 5^12 × the longest RETRY_DELAY still fits into a timedelta


class PermanentError(Exception):
    """This job cannot succeed however often it is tried."""


@dataclass(frozen=True)
class RetryPolicy:
    """Delay before retry n: `RETRY_DELAY` ms × 5^(n-1), at most `longest`.

    `max_attempts` counts every attempt, the first included; `None`: `MAX_RETRIES` more follow it.
    """

    max_attempts: int | None = 3
    longest: timedelta = timedelta(minutes=10)

    def attempts_allowed(self) -> int:
        if self.max_attempts is None:
            return int(settings.MAX_RETRIES) + 1
        return self.max_attempts

    def delay_before(self, retry: int) -> timedelta:
        """`retry` is 1 for the first retry."""
        first = timedelta(milliseconds=settings.RETRY_DELAY)
        factor: int = 5 ** min(retry - 1, HIGHEST_POWER)
        return min(first * factor, self.longest)
