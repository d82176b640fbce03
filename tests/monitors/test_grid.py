"""Slots of a monitor."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from monitors import grid

instants = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))


@given(st.uuids(), st.integers(1, 86_400), instants)
def test_the_next_slot_is_ahead_by_at_most_an_interval(
    key: UUID, interval: int, now: datetime
) -> None:
    slot = grid.next_slot(key, interval, now)
    assert timedelta() < slot - now <= timedelta(seconds=interval, milliseconds=1)


@given(st.uuids(), st.integers(1, 86_400), instants, st.floats(0, 0.99))
def test_slots_do_not_drift(key: UUID, interval: int, now: datetime, late: float) -> None:
    slot = grid.next_slot(key, interval, now)
    following = grid.next_slot(key, interval, slot + timedelta(seconds=interval * late))
    assert following - slot == timedelta(seconds=interval)


def test_missed_slots_are_skipped() -> None:
    key, now = uuid4(), datetime(2026, 11, 24, tzinfo=UTC)
    slot = grid.next_slot(key, 30, now)
    assert grid.next_slot(key, 30, slot + timedelta(seconds=95)) == slot + timedelta(seconds=120)


def test_monitors_spread_over_their_interval() -> None:
    seconds = Counter(grid.phase_ms(uuid4(), 30) // 1000 for _ in range(3000))
    assert len(seconds) == 30
    assert max(seconds.values()) < 200


def test_rechecks_are_spread_by_a_fifth() -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    waits = [(grid.recheck_at(10, now) - now).total_seconds() for _ in range(200)]
    assert 8 <= min(waits) < 8.5
    assert 11.5 < max(waits) <= 12
