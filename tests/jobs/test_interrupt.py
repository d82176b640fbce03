"""A signal that ends a job wherever it is: in a statement, in a transaction, in a `__del__`."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

import pytest
from django.db import connection, transaction
from django_q.exceptions import TimeoutException

from hostmaster.core.jobs import engine, stopping
from tests.concurrency.processes import wait_for
from tests.factories import make_errand
from tests.kernel_app.models import Errand, Start

# In a database of their own: a torn transaction may not reach that of other tests.
pytestmark = [pytest.mark.services, pytest.mark.timeout(60), pytest.mark.usefixtures("project_env")]

State = Errand.State
SLEEPS = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = "
LONG = 40.0


@pytest.fixture
def told_to_stop() -> Iterator[None]:
    """SIGUSR1 is to this process what it is to a worker."""
    before = signal.signal(signal.SIGUSR1, stopping.interrupt)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def told_it_is_late() -> Iterator[None]:
    def late(signum: int, frame: FrameType | None) -> None:
        stopping.raise_in_handler(TimeoutException())

    before = signal.signal(signal.SIGUSR1, late)
    yield
    signal.signal(signal.SIGUSR1, before)


def sleeping_statements() -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"{SLEEPS} 'active'")
        return int(cursor.fetchone()[0])


def make_claimed(kind: str) -> Errand:
    job = make_errand(kind=kind, seconds=LONG)
    assert engine.claim(job)
    return job


def run_until_told(job: Errand) -> None:
    """Run the claimed `job`; on PostgreSQL SIGUSR1 comes while the server is at its statement."""

    def tell() -> None:
        try:
            wait_for(sleeping_statements, 60, "the statement runs")
            os.kill(os.getpid(), signal.SIGUSR1)
        finally:
            connection.close()

    teller = threading.Thread(target=tell)
    if connection.vendor == "postgresql":
        teller.start()
    engine.execute(job)
    if teller.ident:
        teller.join()


def as_others_see(job: Errand) -> Errand:
    """The row by a connection that took no part."""
    found: list[Errand] = []

    def look() -> None:
        found.append(Errand.objects.get(pk=job.pk))
        connection.close()

    looker = threading.Thread(target=look)
    looker.start()
    looker.join()
    return found[0]


def assert_usable() -> None:
    """This thread's connection does what it did before."""
    assert not connection.in_atomic_block
    with transaction.atomic():
        other = make_errand()
    assert as_others_see(other).state == State.WAITING


@pytest.mark.usefixtures("told_to_stop")
def test_a_job_stopped_in_a_statement_is_handed_back_with_the_attempts_it_had() -> None:
    job = make_claimed("query")
    run_until_told(job)
    seen = as_others_see(job)
    assert (seen.state, seen.attempts, seen.errors, seen.lease_owner) == (State.WAITING, 0, [], "")
    assert not Start.objects.exists(), "its transaction was rolled back"
    assert_usable()
    if connection.vendor == "postgresql":
        wait_for(lambda: not sleeping_statements(), 30, "the server has left the statement")


@pytest.mark.usefixtures("told_it_is_late")
def test_a_job_late_in_a_statement_fails_of_its_deadline() -> None:
    job = make_claimed("query")
    run_until_told(job)
    seen = as_others_see(job)
    assert (seen.state, seen.attempts) == (State.WAITING, 1)
    assert [error["type"] for error in seen.errors] == ["DeadlinePassedError"]
    assert_usable()


@pytest.mark.usefixtures("told_to_stop")
def test_a_transaction_that_nobody_ends_swallows_no_hand_back() -> None:
    job = make_claimed("torn")
    engine.execute(job)
    seen = as_others_see(job)
    assert (seen.state, seen.attempts, seen.lease_owner) == (State.WAITING, 0, "")
    assert not Start.objects.exists()
    assert_usable()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("told_to_stop")
def test_a_stop_that_python_drops_is_not_the_last() -> None:
    job = make_claimed("deaf")
    started = time.monotonic()
    engine.execute(job)
    assert time.monotonic() - started < LONG / 2
    seen = as_others_see(job)
    assert (seen.state, seen.attempts) == (State.WAITING, 0)


@pytest.mark.usefixtures("told_to_stop")
def test_a_progress_that_reached_the_row_only_hinders_no_hand_back() -> None:
    job = make_claimed("query")
    assert Errand.objects.get(pk=job.pk).update_guarded(seconds=LONG)
    run_until_told(job)
    assert as_others_see(job).state == State.WAITING


def test_outside_a_handler_nothing_is_interrupted(told_to_stop: None) -> None:
    os.kill(os.getpid(), signal.SIGUSR1)
    assert stopping.run_interruptible(lambda: 7) == 7
    os.kill(os.getpid(), signal.SIGUSR1)


def test_an_error_made_of_a_stop_is_that_stop(told_to_stop: None) -> None:
    def disguise() -> None:
        try:
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(LONG)
        except BaseException as error:
            raise ValueError("something else") from error

    with pytest.raises(stopping.StoppingError):
        stopping.run_interruptible(disguise)
    with pytest.raises(ZeroDivisionError):  # and the next one's error is its own
        stopping.run_interruptible(lambda: print(1 / 0))
