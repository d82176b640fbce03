"""The signals of a scan in the foreground: none is lost, and a deadline rings until it is heard."""

from __future__ import annotations

import os
import signal
import time

import pytest
from django_q.exceptions import TimeoutException

from hostmaster.core.jobs import stopping
from scans.foreground import StopSignals

pytestmark = pytest.mark.timeout(30)

LONG = 20.0


def work() -> None:
    time.sleep(LONG)
    pytest.fail("nothing interrupted it")


def test_a_stop_just_before_the_deadline_is_set_interrupts_all_the_same() -> None:
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        signals.silence()  # as a deadline's timer takes the place of the stop's
        with pytest.raises(stopping.StoppingError), signals.deadline(LONG):
            stopping.run_interruptible(work)
        assert signals.stopped_by == signal.SIGTERM


def test_the_first_signal_counts() -> None:
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.stopped_by == signal.SIGINT


def test_a_deadline_interrupts_and_rings_again_for_one_who_came_late() -> None:
    def work_late() -> None:
        time.sleep(0.3)  # it rings here first, where nothing may be interrupted
        stopping.run_interruptible(work)

    with StopSignals() as signals:
        with pytest.raises(TimeoutException), signals.deadline(0.05):
            work_late()
        assert signals.stopped_by is None


def test_afterwards_all_handlers_are_what_they_were_and_no_alarm_comes() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers]
    with StopSignals() as signals, signals.deadline(LONG):
        os.kill(os.getpid(), signal.SIGTERM)
    assert [signal.getsignal(number) for number in numbers] == before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
