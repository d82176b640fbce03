"""The pool under a scan: bounded, honest about errors, never in the way of a stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest

from scans.aws.pool import Producer, stream


def numbers(start: int, count: int) -> Iterator[int]:
    yield from range(start, start + count)


def test_all_items_of_all_producers_arrive_once() -> None:
    producers: list[Producer[int]] = [partial(numbers, 100 * n, 7) for n in range(50)]
    expected = sorted(100 * n + i for n in range(50) for i in range(7))
    assert sorted(stream(producers, threads=16, buffer=3)) == expected


def test_no_producers_yield_nothing() -> None:
    assert list(stream([], threads=0)) == []


def test_items_of_one_producer_keep_their_order() -> None:
    producers = [partial(numbers, 1000 * n, 100) for n in range(4)]
    arrived = list(stream(producers, threads=4))
    for n in range(4):
        own = [item for item in arrived if item // 1000 == n]
        assert own == sorted(own)


def test_an_error_in_a_thread_is_raised_to_the_consumer() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        list(stream([broken], threads=2))


def test_a_slow_consumer_holds_the_producers_back() -> None:
    made = 0

    def many() -> Iterator[int]:
        nonlocal made
        for number in range(1, 1001):
            made = number
            yield number

    items = stream([many], threads=1, buffer=5)
    next(items)
    time.sleep(0.3)
    assert made <= 8  # the buffer, one taken, one in the thread's hand
    items.close()


def test_leaving_early_ends_the_threads_and_starts_no_more_producers() -> None:
    started: list[int] = []

    def endless(n: int) -> Iterator[int]:
        started.append(n)
        while True:
            yield n

    before = threading.active_count()
    items = stream([partial(endless, n) for n in range(20)], threads=4, buffer=2)
    next(items)
    items.close()
    give_up_at = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < give_up_at:
        time.sleep(0.02)
    assert threading.active_count() <= before
    assert len(started) <= 4


def test_a_thread_that_never_answers_does_not_hold_up_leaving() -> None:
    released = threading.Event()

    def hangs() -> Iterator[int]:
        yield 1
        released.wait(30)

    began = time.monotonic()
    items = stream([hangs], threads=1)
    next(items)
    items.close()
    assert time.monotonic() - began < 2
    released.set()
