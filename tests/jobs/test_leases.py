"""Named leases: one holder at a time, whatever happens to the holder."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection

from hostmaster.core.jobs import leases
from hostmaster.core.jobs.lanes import Lane
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


def test_what_a_killed_process_of_this_machine_held_is_given_back() -> None:
    with dying_process() as (process, owner):
        leases.acquire("roof", owner, TTL)
        leases.release_dead(Lane.ALERTS)
        assert not leases.acquire("roof", "bob", TTL), "it lives"
        process.kill()
        # Its parent, this test, has not looked after it yet: a corpse holds nothing.
        wait_for(lambda: leases.is_owner_dead(owner), 30, "it is dead")
        leases.release_dead(Lane.ALERTS)
        assert leases.acquire("roof", "bob", TTL)
        process.wait()
        assert leases.is_owner_dead(owner)


def test_a_later_process_of_the_same_number_is_another_one() -> None:
    owner = leases.new_owner()
    origin, claim, started, machine = re.split(r"/(?=[^/]*$)|\.(?=[^/]*$)", owner)
    assert not leases.is_owner_dead(owner)
    assert leases.is_owner_dead(f"{origin}/{claim}.{int(started) - 1}.{machine}")


@pytest.mark.parametrize(
    "owner",
    [
        "",
        "ada",
        "another-host/1/0123456789ab",
        "host/alerts-1-abcdef/999999999/0123456789ab.1.0123456789",
        "host/alerts-1-abcdef/none/0123456789ab.1.0123456789",
        "host/²/0123456789ab.1.0123456789",
    ],
)
def test_of_what_others_hold_only_their_leases_can_tell(owner: str) -> None:
    assert not leases.is_owner_dead(owner)


@pytest.mark.parametrize("number", ["0", "1", "99999999999999999999"])
def test_a_number_that_is_nobody_in_particular_is_not_held_for_dead(number: str) -> None:
    mark = leases.new_owner().partition(".")[2]
    started = mark.partition(".")[0] if number != "1" else start_of(1)
    owner = f"host/{number}/0123456789ab.{started}.{mark.partition('.')[2]}"
    assert not leases.is_owner_dead(owner)


def start_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


@contextmanager
def dying_process() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """One of this machine, and the name under which it would hold something."""
    process = subprocess.Popen(["sleep", "600"])
    try:
        claim, _, machine = leases.new_owner().rpartition("/")[2].split(".")
        owner = f"host/alerts-1-abcdef/{process.pid}/{claim}.{start_of(process.pid)}.{machine}"
        yield process, owner
    finally:
        process.kill()
        process.wait()


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
