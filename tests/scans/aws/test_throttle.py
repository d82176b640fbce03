"""Our own pace towards AWS."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scans.aws.throttle import HIGHEST_RATE, LOWEST_RATE, Throttle, TokenBucket, throttle_of


class FakeClock:
    """Time that passes only by sleeping or by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def bucket_of(clock: FakeClock, *, rate: float = 9.0, burst: int = 15) -> TokenBucket:
    return TokenBucket(rate=rate, burst=burst, clock=clock, sleep=clock.sleep)


def test_burst_passes_at_once_and_the_rest_at_the_rate(clock: FakeClock) -> None:
    bucket = bucket_of(clock)
    waits = [bucket.acquire() for _ in range(15)]
    assert waits == [0.0] * 15
    began = clock.now
    for _ in range(90):
        bucket.acquire()
    assert clock.now - began == pytest.approx(10.0)


def test_throttling_halves_the_rate_once_for_answers_that_come_together(clock: FakeClock) -> None:
    bucket = bucket_of(clock, rate=16)
    for _ in range(10):
        bucket.throttled()
    assert bucket.rate == 8
    clock.now += 1
    bucket.throttled()
    assert bucket.rate == 4


def test_throttling_takes_the_burst_away(clock: FakeClock) -> None:
    bucket = bucket_of(clock, rate=8)
    bucket.throttled()
    assert bucket.acquire() == pytest.approx(1 / 4)


def test_rate_grows_by_one_each_ten_seconds_of_success(clock: FakeClock) -> None:
    bucket = bucket_of(clock, rate=9)
    bucket.succeeded()
    assert bucket.rate == 9
    for _ in range(3):
        clock.now += 10
        bucket.succeeded()
        bucket.succeeded()
    assert bucket.rate == 12


def test_rest_alone_is_no_success(clock: FakeClock) -> None:
    bucket = bucket_of(clock, rate=9)
    clock.now += 3600
    bucket.acquire()
    bucket.succeeded()
    assert bucket.rate == 10


@given(st.lists(st.sampled_from(["throttled", "succeeded"]), max_size=200), st.floats(0, 30))
def test_rate_never_leaves_its_bounds(answers: list[str], pause: float) -> None:
    clock = FakeClock()
    bucket = bucket_of(clock)
    for answer in answers:
        clock.now += pause
        getattr(bucket, answer)()
        assert LOWEST_RATE <= bucket.rate <= HIGHEST_RATE


@given(st.integers(1, 20), st.integers(1, 30), st.integers(1, 200))
def test_never_more_calls_than_burst_and_rate_allow(rate: int, burst: int, calls: int) -> None:
    clock = FakeClock()
    bucket = bucket_of(clock, rate=rate, burst=burst)
    for _ in range(calls):
        bucket.acquire()
    elapsed = clock.now - 100.0
    assert calls <= burst + elapsed * rate + 1e-6


def test_threads_share_one_bucket() -> None:
    waits: list[float] = []
    bucket = TokenBucket(rate=10, burst=5, clock=lambda: 0.0, sleep=waits.append)
    _in_threads(20, bucket.acquire)
    assert len(waits) == 15  # the burst did not wait
    assert sorted(waits) == pytest.approx([n / 10 for n in range(1, 16)])  # one turn each


def test_buckets_are_kept_by_region_and_service() -> None:
    throttle = Throttle()
    bucket = throttle.bucket("eu-west-1", "ec2")
    assert throttle.bucket("eu-west-1", "ec2") is bucket
    assert throttle.bucket("eu-west-1", "rds") is not bucket
    assert throttle.bucket("us-east-1", "ec2") is not bucket


def test_sessions_of_one_account_share_a_throttle_and_unknown_ones_do_not() -> None:
    assert throttle_of("111122223333") is throttle_of("111122223333")
    assert throttle_of("111122223333") is not throttle_of("444455556666")
    assert throttle_of("") is not throttle_of("")


def _in_threads(count: int, call: Callable[[], object]) -> None:
    threads = [threading.Thread(target=call) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
