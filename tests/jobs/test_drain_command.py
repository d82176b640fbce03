"""`qcluster --drain`, rows made by plain ORM, doorbells and the sweep, in this process."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone
from django_q.models import OrmQ
from django_q.models import Schedule as QueueSchedule

from hostmaster.core.jobs import doorbells, drain_all, drains, retention, schedules, sweep
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.jobs.models import JobEvent
from tests.factories import make_errand
from tests.kernel_app.models import Errand, Parcel

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

State = Errand.State


def test_drain_runs_everything_due_in_all_lanes_and_leaves_the_rest() -> None:
    schedules.set_up_schedules()
    due = [make_errand(), make_errand(kind="quick"), make_errand(kind="refuse")]
    later = make_errand(run_at=timezone.now() + timedelta(hours=1))
    Parcel.objects.bulk_create([Parcel(drain="urgent"), Parcel(drain="urgent")])
    QueueSchedule.objects.update(next_run=timezone.now() + timedelta(hours=1))
    past = timezone.now() - timedelta(seconds=1)
    QueueSchedule.objects.filter(name="kernel_tick").update(next_run=past)
    ran = drain_all.drain_everything(Lane, lambda: False)
    states = [Errand.objects.get(pk=job.pk).state for job in [*due, later]]
    assert states == [State.DONE, State.DONE, State.FAILED, State.WAITING]
    assert not Parcel.objects.filter(drain="urgent", delivered_at=None).exists()
    assert Parcel.objects.filter(drain="tick").count() == 1
    assert ran == 3 + 2 + 1


def test_a_stop_ends_the_drain_between_two_jobs() -> None:
    jobs = [make_errand() for _ in range(3)]
    drain_all.drain_everything([Lane.SCANS], lambda: Errand.objects.waiting().count() < len(jobs))
    assert Errand.objects.waiting().count() == 2


def test_the_sweep_rings_for_plain_rows_once() -> None:
    tenant = make_errand().tenant
    Errand.objects.bulk_create(Errand(tenant=tenant) for _ in range(4))
    assert sweep.ring_due(Lane.SCANS) == 5
    assert sweep.ring_due(Lane.SCANS) == 0, "the queue already holds a message for each"
    assert sweep.ring_due(Lane.DEFAULT) == 0, "another lane's rows"


def test_a_bell_is_sent_after_commit_and_carries_label_and_pk_only() -> None:
    job = make_errand()
    doorbells.ring_job(job)
    task = OrmQ.objects.get().task
    assert task["func"] == "hostmaster.core.jobs.engine.run_job"
    assert task["args"] == ("kernel_app.Errand", str(job.pk))
    assert task["timeout"] == 21
    assert OrmQ.objects.get().key == "scans"


def test_ringing_a_name_nobody_answers_is_a_no_op() -> None:
    doorbells.ring("nobody.home")
    doorbells.ring("kernel_app.bell", "word")
    assert [(row.key, row.task["args"]) for row in OrmQ.objects.all()] == [("alerts", ("word",))]


def test_a_broker_that_is_down_does_not_fail_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(task: str) -> None:
        raise ConnectionError("broker is down")

    monkeypatch.setattr(doorbells.lane_broker(Lane.SCANS), "enqueue", refuse)
    job = make_errand(kind="note", run_at=timezone.now() + timedelta(hours=1))
    assert job.run_now()
    assert list(Errand.objects.due()) == [job], "the sweep will find it"


def test_a_drain_with_work_is_rung_in_its_own_lane() -> None:
    Parcel.objects.create(drain="urgent")
    drains.ring_due(Lane.ALERTS)
    drains.ring_due(Lane.DEFAULT)
    assert [row.key for row in OrmQ.objects.all()] == ["alerts"]
    assert drains.run_drain("urgent") == 1
    assert drains.run_drain("urgent") == 0


def test_old_history_is_pruned_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    old, fresh = timezone.now() - timedelta(days=91), timezone.now()
    for at in [old] * 5 + [fresh]:
        JobEvent.objects.create(label="x", object_id="1", from_state="a", to_state="b", at=at)
    assert retention.prune().processed == 5
    assert JobEvent.objects.count() == 1


def test_the_command_exits_0_when_nothing_is_due(capsys: pytest.CaptureFixture[str]) -> None:
    schedules.set_up_schedules()
    QueueSchedule.objects.update(next_run=timezone.now() + timedelta(hours=1))
    call_command("qcluster", "--drain")
    assert "Ran 0 due" in capsys.readouterr().err
