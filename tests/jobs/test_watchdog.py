"""The watchdog: leaves when work waits and nothing moves, and only then."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from hostmaster.core.cluster.watchdog import Watchdog
from hostmaster.core.jobs import doorbells, engine
from hostmaster.core.jobs.lanes import Lane
from tests.factories import make_errand
from tests.kernel_app.models import Errand

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

LIMIT = 80.0


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Clock:
    settings.WATCHDOG_SECONDS = LIMIT
    monkeypatch.setenv("HOSTMASTER_LANE_INSTANCE", "host/lane-1-abc")
    return Clock()


def watch(watchdog: Watchdog, clock: Clock, seconds: float) -> bool:
    """Tick each second for so long; answers whether it ever said stuck."""
    for _ in range(int(seconds)):
        clock.now += 1
        if watchdog.is_stuck():
            return True
    return False


def test_due_work_that_nobody_claims_is_stuck_after_the_limit(clock: Clock) -> None:
    make_errand()
    watchdog = Watchdog(Lane.SCANS, clock)
    assert not watch(watchdog, clock, LIMIT - 1)
    assert watch(watchdog, clock, LIMIT)


def test_messages_that_nobody_reads_are_stuck_too(clock: Clock) -> None:
    doorbells.send(Lane.ALERTS, "math.fsum", [1])
    assert watch(Watchdog(Lane.ALERTS, clock), clock, 2 * LIMIT)


def test_messages_that_come_and_are_taken_are_no_work_done(clock: Clock) -> None:
    """A pusher that lives reads them, though nobody runs them any more."""
    watchdog = Watchdog(Lane.ALERTS, clock)
    for _ in range(int(LIMIT)):
        OrmQ.objects.all().delete()
        doorbells.send(Lane.ALERTS, "math.fsum", [1])
        watch(watchdog, clock, 1)
    assert watch(watchdog, clock, LIMIT / 4)


def test_tasks_that_begin_are_no_reason_to_leave(clock: Clock) -> None:
    begun = count(1)
    doorbells.send(Lane.ALERTS, "math.fsum", [1])
    watchdog = Watchdog(Lane.ALERTS, clock, lambda: next(begun))
    assert not watch(watchdog, clock, 3 * LIMIT)


def test_nothing_waiting_is_no_reason_to_leave(clock: Clock) -> None:
    make_errand(run_at=timezone.now() + timedelta(hours=1))
    assert not watch(Watchdog(Lane.SCANS, clock), clock, 3 * LIMIT)


def test_work_that_moves_is_no_reason_to_leave(clock: Clock) -> None:
    jobs = [make_errand() for _ in range(8)]
    watchdog = Watchdog(Lane.SCANS, clock)
    for job in jobs:
        assert not watch(watchdog, clock, LIMIT / 2)
        engine.run_job("kernel_app.Errand", str(job.pk))


def test_all_hands_full_excuse_what_waits_but_one_job_does_not(clock: Clock, settings: Any) -> None:
    workers = settings.LANE_SIZES[Lane.SCANS].workers
    for _ in range(workers):
        assert engine.claim(make_errand(kind="sleep"))
    make_errand()
    assert not watch(Watchdog(Lane.SCANS, clock), clock, 3 * LIMIT)
    assert engine.finish(Errand.objects.running()[0], {}, 1.0)
    assert watch(Watchdog(Lane.SCANS, clock), clock, 2 * LIMIT)


def test_a_kind_at_its_cap_does_not_count_as_waiting(clock: Clock) -> None:
    for _ in range(2):
        assert engine.claim(make_errand(kind="capped"))
    make_errand(kind="capped")
    assert not watch(Watchdog(Lane.SCANS, clock), clock, 3 * LIMIT)


def test_the_time_of_an_outage_is_not_held_against_the_lane(clock: Clock) -> None:
    make_errand()
    watchdog = Watchdog(Lane.SCANS, clock)
    assert not watch(watchdog, clock, 16)
    clock.now += 2 * LIMIT
    watchdog.excuse()
    assert not watch(watchdog, clock, LIMIT / 2)
