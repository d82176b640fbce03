"""`qcluster --drain`, rows made by plain ORM, doorbells and the sweep, in this process."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone
from django_q.models import OrmQ
from django_q.models import Schedule as QueueSchedule

from hostmaster.core.cluster import drain_all
from hostmaster.core.jobs import (
    doorbells,
    drains,
    engine,
    retention,
    schedules,
    stopping,
    sweep,
)
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
    ran = drain_all.drain_everything(Lane)
    states = [Errand.objects.get(pk=job.pk).state for job in [*due, later]]
    assert states == [State.DONE, State.DONE, State.FAILED, State.WAITING]
    assert not Parcel.objects.filter(drain="urgent", delivered_at=None).exists()
    assert Parcel.objects.filter(drain="tick").count() == 1
    assert ran == 3 + 2 + 1


def test_a_stop_ends_the_drain_between_two_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [make_errand() for _ in range(3)]

    def is_stopping() -> bool:
        return Errand.objects.waiting().count() < len(jobs)

    monkeypatch.setattr(stopping, "is_stopping", is_stopping)
    drain_all.drain_everything([Lane.SCANS])
    assert Errand.objects.waiting().count() == 2


def test_drain_answers_waiting_messages_and_leaves_none() -> None:
    doorbells.ring("kernel_app.bell", "word")
    doorbells.send(Lane.DEFAULT, "math.fsum", [1, 2])
    doorbells.send(Lane.DEFAULT, "no.such.verb")
    job = make_errand()
    doorbells.ring_job(job)
    assert drain_all.drain_everything(Lane) == 4
    assert not OrmQ.objects.exists()
    assert Parcel.objects.filter(drain="word").count() == 1
    job.refresh_from_db()
    assert job.state == State.DONE


def test_the_sweep_rings_for_plain_rows_once() -> None:
    tenant = make_errand().tenant
    Errand.objects.bulk_create(Errand(tenant=tenant) for _ in range(4))
    assert sweep.ring_due(Lane.SCANS) == 5
    assert sweep.ring_due(Lane.SCANS) == 0, "the queue already holds a message for each"
    assert sweep.ring_due(Lane.DEFAULT) == 0, "another lane's rows"


def test_a_backlog_of_one_kind_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTMASTER_LANE_INSTANCE", "host/scans-1-abc")
    monkeypatch.setattr(sweep, "BATCH", 5)
    tenant = make_errand(kind="capped").tenant
    Errand.objects.bulk_create(Errand(tenant=tenant, kind="capped") for _ in range(20))
    late = make_errand()
    rows = sweep.due_rows(Lane.SCANS)
    assert str(late.pk) in {row.pk for row in rows}
    assert sum(row.kind == "capped" for row in rows) == 2, "no more than its cap leaves room for"
    for row in rows:
        if row.kind == "capped":
            assert engine.claim(Errand.objects.get(pk=row.pk))
    assert {row.kind for row in sweep.due_rows(Lane.SCANS)} == {"note"}


def test_a_row_that_cannot_be_settled_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [make_errand(), make_errand()]
    for job in jobs:
        assert engine.claim(job)
    Errand.objects.update(lease_until=timezone.now() - timedelta(seconds=5))
    settle = engine.expire

    def refuse_the_first(job: Errand) -> bool:
        if job.pk == jobs[0].pk:
            raise OverflowError("never mind")
        return settle(job)

    monkeypatch.setattr(engine, "expire", refuse_the_first)
    assert sweep.expire_leases(Lane.SCANS) == 1


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
