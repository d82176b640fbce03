"""Named leases: one holder at a time, whatever happens to the holder."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection

from hostmaster.core.jobs import leases
from hostmaster.core.jobs.models import Lease
from tests.concurrency.processes import wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

TTL = timedelta(seconds=30)


def test_a_lease_has_one_holder() -> None:
    assert leases.acquire("roof", "ada", TTL)
    assert not leases.acquire("roof", "bob", TTL)
    assert leases.acquire("roof", "ada", TTL), "renewing is taking what is ours"


def test_a_released_lease_is_free_at_once() -> None:
    leases.acquire("roof", "ada", TTL)
    leases.release("roof", "bob")
    assert not leases.acquire("roof", "bob", TTL), "a stranger's release changes nothing"
    leases.release("roof", "ada")
    assert leases.acquire("roof", "bob", TTL)


def test_a_lease_that_ran_out_is_free() -> None:
    leases.acquire("roof", "ada", timedelta(seconds=-1))
    assert leases.acquire("roof", "bob", TTL)


def test_hold_renews_while_the_body_runs_and_releases_after() -> None:
    with leases.hold("roof", timedelta(seconds=4)) as held:
        assert held
        first = Lease.objects.get(name="roof").until
        wait_for(lambda: Lease.objects.get(name="roof").until > first, 30, "it is renewed")
        with leases.hold("roof") as second:
            assert not second
    with leases.hold("roof") as third:
        assert third


def test_a_lease_is_released_when_the_body_raises() -> None:
    with pytest.raises(ValueError, match="leak"), leases.hold("roof"):
        raise ValueError("a leak")
    assert leases.acquire("roof", "bob", TTL)


def test_of_many_that_want_a_new_lease_one_gets_it() -> None:
    won: list[int] = []
    start = threading.Barrier(8)

    def compete(number: int) -> None:
        start.wait()
        try:
            if leases.acquire("roof", f"owner {number}", TTL):
                won.append(number)
        finally:
            connection.close()

    threads = [threading.Thread(target=compete, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_a_renewal_that_fails_is_noticed() -> None:
    with leases.Renewal(lambda: False, every=timedelta(milliseconds=10)) as renewal:
        assert renewal.lost.wait(30)
