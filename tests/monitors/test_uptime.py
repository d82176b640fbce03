"""Uptime, reckoned by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from monitors import services
from monitors.models import MonitorStateInterval
from monitors.uptime import Uptime, reckon
from tests.factories import make_tenant

T0 = datetime(2026, 6, 1, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def test_states_are_cut_to_the_time_asked_for() -> None:
    states = [("up", at(-60), at(30)), ("down", at(30), at(40)), ("up", at(40), at(100))]

    found = reckon(states, [], at(0), at(60))

    assert found == Uptime(up_seconds=50 * 60, down_seconds=10 * 60)
    assert found.ratio == pytest.approx(50 / 60)


def test_unknown_paused_and_announced_time_counts_for_neither_side() -> None:
    states = [
        ("up", at(10), at(20)),
        ("down", at(20), at(30)),
        ("unknown", at(30), at(40)),
        ("paused", at(40), at(50)),
        ("down", at(50), at(60)),
    ]

    found = reckon(states, [(at(25), at(35)), (at(55), at(60))], at(0), at(60))

    assert found == Uptime(
        up_seconds=600,
        down_seconds=300 + 300,
        unknown_seconds=600 + 300,  # before the first state, and 35 to 40
        paused_seconds=600,
        maintenance_seconds=600 + 300,
    )
    assert found.ratio == 0.5


def test_no_time_that_counts_has_no_ratio() -> None:
    assert reckon([], [], at(0), at(60)).ratio is None


@pytest.mark.django_db
@pytest.mark.both_databases
def test_uptime_comes_from_the_rows_and_windows_of_the_monitor() -> None:
    tenant = make_tenant()
    monitor = services.add_monitor(tenant, name="Site", url="http://example.com")
    MonitorStateInterval.objects.all().delete()
    for state, start, end in [("up", 0, 45), ("down", 45, 60), ("up", 60, None)]:
        MonitorStateInterval.objects.create(
            monitor=monitor,
            state=state,
            started_at=at(start),
            ended_at=None if end is None else at(end),
        )
    services.add_maintenance(
        tenant, name="Window", starts_at=at(50), duration=timedelta(minutes=5), monitors=[monitor]
    )

    found = services.uptime(monitor, at(0), at(120))

    assert found == Uptime(
        up_seconds=(45 + 60) * 60, down_seconds=10 * 60, maintenance_seconds=5 * 60
    )
