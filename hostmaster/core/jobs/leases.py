"""Named leases: one holder at a time across all processes, by the database's clock."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import psutil
from django.conf import settings
from django.db import Error, connection

from hostmaster.core.clock import DatabaseNow, database_now
from hostmaster.core.jobs import processes
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.jobs.models import Lease

logger = logging.getLogger(__name__)

LANE_INSTANCE_VARIABLE = "HOSTMASTER_LANE_INSTANCE"


def lane_instance() -> str:
    """What all owners of one lane process begin with; empty outside a lane."""
    return os.environ.get(LANE_INSTANCE_VARIABLE, "")


def own_origin() -> str:
    """What all owners of this process begin with."""
    return f"{lane_instance() or socket.gethostname()}/{os.getpid()}"


def new_owner() -> str:
    """A name for one claim that nobody else ever had, and that says which process made it."""
    mark = processes.own_mark()
    claim = secrets.token_hex(6)
    return f"{own_origin()}/{claim}.{mark}" if mark else f"{own_origin()}/{claim}"


def is_ours(owner: str) -> bool:
    """`owner` is a name this process made for itself."""
    return owner.rpartition("/")[0] == own_origin()


def is_owner_dead(owner: str) -> bool:
    """`owner` was a process of this machine, and is no more. `False` for what others own: only
    their leases can tell."""
    origin, _, claim = owner.rpartition("/")
    instance, _, number = origin.rpartition("/")
    if not (number.isascii() and number.isdigit()):
        return False
    mark = claim.partition(".")[2]
    if mark:
        return processes.is_gone(int(number), mark)
    # Where processes have no mark we know those that our own lane started.
    return instance == lane_instance() != "" and not psutil.pid_exists(int(number))


def release_dead(lane: Lane) -> None:
    """Give back what processes of this machine held that were killed, of this lane or of one
    before it: the next one need not wait until their leases are over."""
    for lease in Lease.objects.filter(until__gt=DatabaseNow()):
        if is_owner_dead(lease.owner):
            release(lease.name, lease.owner)


def acquire(name: str, owner: str, ttl: timedelta) -> bool:
    """Take the lease if it is free, over, or already ours."""
    fields = {"owner": owner, "until": database_now(ttl)}
    takeable = Lease.objects.filter(name=name)
    mine_or_over = takeable.filter(owner=owner) | takeable.filter(until__lt=DatabaseNow())
    if mine_or_over.update(**fields):
        return True
    if takeable.exists():
        return False
    # Never held: whoever inserts first has it. `until` in the past, so nothing is won yet.
    Lease.objects.bulk_create(
        [Lease(name=name, owner="", until=database_now(timedelta(seconds=-1)))],
        ignore_conflicts=True,
    )
    return bool(takeable.filter(until__lt=DatabaseNow()).update(**fields))


def release(name: str, owner: str) -> None:
    """Give it back, if it is still ours."""
    over = database_now(timedelta(seconds=-1))
    Lease.objects.filter(name=name, owner=owner).update(until=over)


def release_all(instance: str) -> None:
    """Give back what the processes of a lane held that are gone now."""
    over = database_now(timedelta(seconds=-1))
    Lease.objects.filter(owner__startswith=f"{instance}/", until__gt=over).update(until=over)


@contextmanager
def hold(name: str, ttl: timedelta | None = None) -> Iterator[bool]:
    """`with hold("schedule:prune") as held:` renewed by a thread while the body runs."""
    ttl = ttl or timedelta(seconds=settings.LEASE_SECONDS)
    owner = new_owner()
    if not acquire(name, owner, ttl):
        yield False
        return
    try:
        with Renewal(lambda: acquire(name, owner, ttl), every=ttl / 4):
            yield True
    finally:
        release(name, owner)


class Renewal:
    """A thread that calls `renew` until left. `lost` is set once `renew` answers `False`.

    A database that cannot be asked loses nothing yet: the lease itself runs out in time.
    """

    def __init__(self, renew: Callable[[], bool], *, every: timedelta) -> None:
        self._renew = renew
        self._every = every.total_seconds()
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease-renewal", daemon=True)
        self.lost = threading.Event()

    def __enter__(self) -> Renewal:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._left.wait(self._every):
            try:
                if not self._renew():
                    self.lost.set()
                    return
            except Error as error:
                logger.warning("lease not renewed: %s", error)
            finally:
                connection.close()
