"""Turns of a lane's workers: what is under way outlives them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from hostmaster.core.cluster.drain_all import drain_everything
from hostmaster.core.jobs import drains, leases
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.tenants.models import Tenant
from monitors import services, tasks, turns
from monitors.models import Monitor, MonitorCheck, MonitorRun
from tests.monitors.servers import Site

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


@pytest.fixture(autouse=True)
def own_sweep(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(turns, "_taker", None)
    yield
    if turns._taker is not None:
        turns._taker.sweep.close()


@pytest.fixture
def in_a_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(leases.LANE_INSTANCE_VARIABLE, "host/default-1")


def add(tenant: Tenant, site: Site) -> Monitor:
    return services.add_monitor(tenant, name="Site", url=site.url)


def wait_for_checks(count: int) -> None:
    ends = time.monotonic() + 60
    while MonitorCheck.objects.count() < count:
        assert time.monotonic() < ends, "no check was stored"
        time.sleep(0.02)


@pytest.mark.usefixtures("in_a_lane")
def test_a_slow_host_keeps_neither_the_drain_nor_the_turn(tenant: Tenant, site: Site) -> None:
    add(tenant, site)
    site.release.clear()
    started = time.monotonic()

    assert drains.run_drain(tasks.DRAIN) == 1

    assert time.monotonic() - started < 4  # the site does not answer at all
    assert not tasks.has_due_checks()
    with leases.hold("drains", timedelta(seconds=5)) as held:
        assert held
    assert not MonitorCheck.objects.exists()
    site.release.set()


@pytest.mark.usefixtures("in_a_lane")
def test_what_a_turn_left_is_stored_without_another(tenant: Tenant, site: Site) -> None:
    add(tenant, site)
    site.release.clear()
    drains.run_drain(tasks.DRAIN)

    site.release.set()
    wait_for_checks(1)

    assert MonitorCheck.objects.get().success
    assert MonitorRun.objects.get().lease_by == ""


@pytest.mark.usefixtures("in_a_lane")
def test_a_turn_ends_on_time_however_much_is_due(tenant: Tenant, site: Site) -> None:
    for _ in range(30):
        add(tenant, site)
    site.release.clear()
    started = time.monotonic()

    tasks.drain_checks(drains.Turn(1.0))

    assert time.monotonic() - started < 8  # a check alone may take 10
    site.release.set()
    wait_for_checks(30)


def test_outside_a_lane_what_is_under_way_is_waited_for(tenant: Tenant, site: Site) -> None:
    add(tenant, site)
    site.release.clear()
    threading.Timer(1.5, site.release.set).start()

    drain_everything([Lane.DEFAULT])

    assert MonitorCheck.objects.get().success
    assert not tasks.has_due_checks()
