"""Our own pace towards AWS, one token bucket per account, region and service.

Measured with 150 calls against an EC2-like limit of 10 a second: botocore's adaptive mode alone
takes 54 s and 33 throttled answers, a bucket at 9 a second takes 15 s and none.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from scans.aws.errors import THROTTLING_CODES, Outcome, outcome_of

START_RATE = 9.0  # calls a second
LOWEST_RATE = 1.0
HIGHEST_RATE = 20.0
BURST = 15
RAISE_EVERY_SECONDS = 10.0
# Calls already under way fail together when AWS throttles: they are one signal, not many.
HALVE_AT_MOST_EVERY_SECONDS = 1.0


class TokenBucket:
    """Lets calls through at a rate that AWS's answers adjust (AIMD). Threads may share it."""

    def __init__(
        self,
        *,
        rate: float = START_RATE,
        burst: int = BURST,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._sleep = sleep
        self._burst = float(burst)
        self._rate = rate
        self._tokens = float(burst)
        self._filled_at = self._rated_at = clock()
        self._halved_at = float("-inf")

    @property
    def rate(self) -> float:
        return self._rate

    def acquire(self) -> float:
        """Wait for this call's turn; the seconds waited.

        The turn is booked under the lock and slept through outside it, so callers go in the
        order they came.
        """
        with self._lock:
            self._fill()
            self._tokens -= 1
            wait = max(0.0, -self._tokens / self._rate)
        if wait:
            self._sleep(wait)
        return wait

    def succeeded(self) -> None:
        """AWS answered: one call a second more for each 10 s without throttling."""
        with self._lock:
            if self._clock() - self._rated_at >= RAISE_EVERY_SECONDS:
                self._set_rate(self._rate + 1)

    def throttled(self) -> None:
        """AWS asked for fewer calls: half the rate, and no burst left."""
        with self._lock:
            if self._clock() - self._halved_at < HALVE_AT_MOST_EVERY_SECONDS:
                return
            self._halved_at = self._clock()
            self._set_rate(self._rate / 2)
            self._tokens = min(self._tokens, 0.0)

    def _set_rate(self, rate: float) -> None:
        self._fill()
        self._rate = min(HIGHEST_RATE, max(LOWEST_RATE, rate))
        self._rated_at = self._clock()

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now


class Tally:
    """How the requests of one unit ended, repeated ones included."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()

    @property
    def calls(self) -> int:
        return self.outcomes.total()

    @property
    def throttled(self) -> int:
        return self.outcomes[Outcome.THROTTLED.value]

    def count(self, parsed_response: Mapping[str, Any] | None) -> None:
        self.outcomes[_outcome_of_answer(parsed_response).value] += 1


_counting = threading.local()


@contextmanager
def tallied() -> Iterator[Tally]:
    """Counts this thread's requests: botocore asks and listens in the thread of the caller."""
    _counting.tally = tally = Tally()
    try:
        yield tally
    finally:
        _counting.tally = None


def _outcome_of_answer(parsed_response: Mapping[str, Any] | None) -> Outcome:
    if parsed_response is None:
        return Outcome.ERROR  # no answer, or none that can be read
    code = str(parsed_response.get("Error", {}).get("Code", ""))
    # "There is no such lifecycle" is an answer.
    return outcome_of(code) if code and not code.startswith("NoSuch") else Outcome.OK


class Throttle:
    """The buckets of one account, made when first used."""

    def __init__(self, make_bucket: Callable[[], TokenBucket] = TokenBucket) -> None:
        self._lock = threading.Lock()
        self._make_bucket = make_bucket
        self._buckets: dict[tuple[str, str], TokenBucket] = {}

    def bucket(self, region: str, service: str) -> TokenBucket:
        with self._lock:
            if (region, service) not in self._buckets:
                self._buckets[region, service] = self._make_bucket()
            return self._buckets[region, service]

    def attach(self, client: Any, region: str, service: str) -> None:
        """Make every request of a botocore client, retries included, pass its bucket."""
        bucket = self.bucket(region, service)

        def wait_for_turn(**_: Any) -> None:
            bucket.acquire()

        def learn(parsed_response: Mapping[str, Any] | None = None, **_: Any) -> None:
            if (tally := getattr(_counting, "tally", None)) is not None:
                tally.count(parsed_response)
            if parsed_response is None:
                return  # no answer says nothing about the rate
            if parsed_response.get("Error", {}).get("Code") in THROTTLING_CODES:
                bucket.throttled()
            else:
                bucket.succeeded()

        client.meta.events.register_first("before-send", wait_for_turn)
        client.meta.events.register("response-received", learn)


_THROTTLES: dict[str, Throttle] = {}
_THROTTLES_LOCK = threading.Lock()


def throttle_of(account_id: str) -> Throttle:
    """The throttle all sessions of an account share in this process; without an id, a new one."""
    if not account_id:
        return Throttle()
    with _THROTTLES_LOCK:
        return _THROTTLES.setdefault(account_id, Throttle())
