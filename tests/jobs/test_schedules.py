"""Periodic work: upserted from code, fired once, remembered, poison set aside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from django_q.conf import Conf
from django_q.exceptions import TimeoutException
from django_q.models import OrmQ
from django_q.models import Schedule as QueueSchedule

from hostmaster.core.health.models import SystemLog
from hostmaster.core.jobs import leases, schedules
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.jobs.models import ScheduleState
from hostmaster.core.registry import get_registry
from tests.kernel_app import tasks
from tests.kernel_app.models import Parcel

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

PAST = timedelta(minutes=1)


def queued() -> list[Any]:
    return [row.task for row in OrmQ.objects.order_by("pk")]


def test_cron_has_six_fields_and_seconds_last() -> None:
    start = datetime(2026, 11, 24, 12, 0, 10, tzinfo=UTC)
    assert schedules.next_run("* * * * * */30", start) == start.replace(second=30)
    assert schedules.next_run("*/5 * * * * 0", start) == start.replace(minute=5, second=0)


def test_schedules_are_upserted_by_name_and_strangers_of_ours_removed() -> None:
    QueueSchedule.objects.create(
        name="left over", func="hostmaster.core.jobs.schedules.run_schedule"
    )
    QueueSchedule.objects.create(name="somebody's", func="math.fsum")
    for _ in range(2):
        schedules.set_up_schedules()
    names = list(QueueSchedule.objects.values_list("name", flat=True))
    assert sorted(names) == sorted([*get_registry().schedules, "somebody's"])
    assert set(ScheduleState.objects.values_list("name", flat=True)) == set(
        get_registry().schedules
    )


def test_a_changed_cron_moves_the_next_run(monkeypatch: pytest.MonkeyPatch) -> None:
    schedules.set_up_schedules()
    row = QueueSchedule.objects.get(name="kernel_yearly")
    QueueSchedule.objects.filter(pk=row.pk).update(cron="0 0 2 2 * 0")
    schedules.set_up_schedules()
    row.refresh_from_db()
    assert (row.cron, row.next_run.month) == ("0 0 1 1 * 0", 1)
    assert ScheduleState.objects.get(name="kernel_yearly").next_run_at == row.next_run


def test_a_due_schedule_is_enqueued_once_and_moves_on() -> None:
    schedules.set_up_schedules()
    QueueSchedule.objects.filter(name="kernel_yearly").update(next_run=timezone.now() - PAST)
    QueueSchedule.objects.exclude(name="kernel_yearly").update(next_run=timezone.now() + PAST)
    schedules.fire_due(Lane.DEFAULT)
    schedules.fire_due(Lane.DEFAULT)
    assert [task["args"] for task in queued()] == [("kernel_yearly",)]
    assert QueueSchedule.objects.get(name="kernel_yearly").next_run > timezone.now()


def test_a_schedule_of_another_lane_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conf, "CLUSTER_NAME", "alerts")  # as in that lane's own process
    schedules.set_up_schedules()
    QueueSchedule.objects.update(next_run=timezone.now() - PAST)
    schedules.fire_due(Lane.ALERTS)
    fired = {task["args"][0] for task in queued()}
    assert fired == {s.name for s in get_registry().schedules.values() if s.lane is Lane.ALERTS}
    assert fired


@pytest.mark.parametrize(
    "defect",
    [
        {"kwargs": "{1: 2}"},
        {"kwargs": "{'q_options': 'x'}"},
        {"args": "(1, "},
        {"args": "os.system('x')"},
        {"kwargs": "[1, 2]"},
        {"schedule_type": QueueSchedule.CRON, "cron": "not cron"},
    ],
    ids=str,
)
def test_a_defective_schedule_is_set_aside_with_its_reason(defect: dict[str, str]) -> None:
    due = timezone.now() - PAST
    poison = QueueSchedule.objects.create(name="poison", func="math.fsum", next_run=due)
    QueueSchedule.objects.filter(pk=poison.pk).update(**defect)  # as plain SQL could
    QueueSchedule.objects.create(name="good", func="math.fsum", args="([1],)", next_run=due)
    schedules.fire_due(Lane.DEFAULT)
    assert [task["args"] for task in queued()] == [([1],)]
    poison.refresh_from_db()
    assert poison.next_run > timezone.now()
    assert "poison" in SystemLog.objects.get(component="schedules").message


def test_a_run_is_remembered_with_its_figures() -> None:
    schedules.set_up_schedules()
    schedules.run_schedule("kernel_tick")
    state = ScheduleState.objects.get(name="kernel_tick")
    assert (state.last_processed, state.last_succeeded, state.last_failed) == (1, 1, 0)
    assert state.last_finished_at is not None
    assert state.last_error == ""
    assert state.next_run_at is not None
    assert state.next_run_at > state.last_finished_at - timedelta(seconds=2)


def test_a_run_that_is_cut_off_is_remembered_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def overrun() -> None:
        raise TimeoutException

    monkeypatch.setattr(tasks, "tick", overrun)
    schedules.set_up_schedules()
    with pytest.raises(TimeoutException):
        schedules.run_schedule("kernel_tick")
    state = ScheduleState.objects.get(name="kernel_tick")
    assert (state.last_failed, state.last_error) == (1, "It did not end within its lane's time.")


def test_a_failed_run_is_remembered_with_its_error() -> None:
    schedules.set_up_schedules()
    with pytest.raises(RuntimeError):
        schedules.run_schedule("kernel_broken")
    state = ScheduleState.objects.get(name="kernel_broken")
    assert state.last_error == "RuntimeError: this schedule always fails"


def test_two_replicas_never_run_one_schedule_at_once() -> None:
    with leases.hold("schedule:kernel_tick") as held:
        assert held
        schedules.run_schedule("kernel_tick")
    assert Parcel.objects.filter(drain="tick").count() == 0


def test_a_schedule_nobody_registered_is_a_bell_nobody_answers() -> None:
    schedules.run_schedule("gone")


def test_late_is_later_than_the_grace() -> None:
    now = timezone.now()
    state = ScheduleState(name="x", next_run_at=now - timedelta(seconds=90))
    assert state.is_late(now, timedelta(seconds=60))
    assert not state.is_late(now, timedelta(seconds=120))
