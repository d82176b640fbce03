"""Claim, run, settle: in this process, on both databases."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from hostmaster.core.jobs import engine, operate
from hostmaster.core.jobs.models import DurableJob, JobAlreadyOpenError, JobEvent, LeaseLostError
from hostmaster.core.metrics.models import Counter
from hostmaster.core.state import InvalidTransitionError
from tests.factories import make_errand
from tests.kernel_app import tasks
from tests.kernel_app.models import Effect, Errand, Start

# The lease is renewed by a thread, which sees committed rows only.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

State = Errand.State


def run(job: Errand) -> Errand:
    engine.run_job("kernel_app.Errand", str(job.pk))
    job.refresh_from_db()
    return job


def counter(name: str, kind: str) -> float:
    rows = Counter.objects.filter(name=name, labels__contains=f'"{kind}"')
    return sum(row.value for row in rows)


def make_due(job: Errand) -> None:
    Errand.objects.filter(pk=job.pk).update(run_at=timezone.now() - timedelta(seconds=1))


def test_a_due_job_runs_to_its_end_with_its_effects_in_one_transaction() -> None:
    job = run(make_errand(secret="sealed"))
    assert (job.state, job.attempts, job.errors) == (State.DONE, 1, [])
    assert job.finished_at is not None
    assert job.lease_until is None
    assert job.lease_owner == ""
    assert job.secret is None, "final_fields() are part of the same UPDATE"
    assert Effect.objects.filter(errand=job).count() == 1
    assert counter("jobs_processed_total", "note") == 1


def test_each_transition_leaves_an_event_with_its_actor() -> None:
    job = run(make_errand(kind="fail", seconds=1))
    make_due(job)
    run(job)
    events = JobEvent.objects.filter(object_id=str(job.pk), label="kernel_app.Errand")
    steps = [(event.from_state, event.to_state) for event in events]
    assert steps == [
        ("waiting", "running"),
        ("running", "waiting"),
        ("waiting", "running"),
        ("running", "done"),
    ]
    assert "ValueError: attempt 1 fails" in events[1].reason
    assert all(event.actor for event in events)
    assert {event.tenant_id for event in events} == {job.tenant_id}


def test_a_bell_rung_twice_runs_the_job_once() -> None:
    job = run(make_errand())
    run(job)
    assert Start.objects.count() == 1


def test_a_job_whose_time_has_not_come_is_left_alone() -> None:
    job = run(make_errand(run_at=timezone.now() + timedelta(minutes=1)))
    assert (job.state, job.attempts) == (State.WAITING, 0)


def test_a_bell_for_a_row_that_is_gone_does_nothing() -> None:
    job = make_errand()
    pk = str(job.pk)
    job.delete()
    engine.run_job("kernel_app.Errand", pk)


def test_a_failure_is_retried_after_5_and_25_seconds_then_dead() -> None:
    job = make_errand(kind="fail", seconds=99)
    delays = []
    for _ in range(3):
        make_due(job)
        before = timezone.now()
        run(job)
        delays.append(round((job.run_at - before).total_seconds(), 1))
    assert delays[:2] == [pytest.approx(5, abs=0.5), pytest.approx(25, abs=0.5)]
    assert job.state == State.FAILED
    assert list(Errand.objects.dead()) == [job]
    assert [entry["attempt"] for entry in job.errors] == [1, 2, 3]
    assert [entry["message"] for entry in job.errors] == [
        "attempt 1 fails",
        "attempt 2 fails",
        "attempt 3 fails",
    ]
    assert all(set(e) == {"at", "attempt", "type", "message", "retryable"} for e in job.errors)
    assert counter("jobs_failed_total", "fail") == 3
    assert counter("jobs_processed_total", "fail") == 1
    assert Effect.objects.count() == 0


def test_a_permanent_error_is_not_retried() -> None:
    job = run(make_errand(kind="refuse"))
    assert job.state == State.FAILED
    assert job.errors[0]["retryable"] is False


def test_secrets_in_an_error_are_masked_in_the_row_and_its_history() -> None:
    job = make_errand(kind="note")
    engine.claim(job)
    engine.fail(job, ValueError("refused AKIAIOSFODNN7EXAMPLE"))
    job.refresh_from_db()
    assert "AKIAIOSFODNN7EXAMPLE" not in str(job.errors)
    assert not JobEvent.objects.filter(reason__contains="AKIAIOSFODNN7EXAMPLE").exists()


def test_the_second_worker_loses_the_claim() -> None:
    job = make_errand()
    first, second = Errand.objects.get(pk=job.pk), Errand.objects.get(pk=job.pk)
    assert engine.claim(first)
    assert not engine.claim(second)


def test_a_zombie_cannot_settle_what_was_claimed_anew() -> None:
    zombie = make_errand()
    assert engine.claim(zombie)
    expire_lease(zombie)
    assert engine.expire(Errand.objects.get(pk=zombie.pk))
    make_due(zombie)
    heir = Errand.objects.get(pk=zombie.pk)
    assert engine.claim(heir)
    assert not engine.finish(zombie, {}, 1.0)
    assert not engine.fail(zombie, ValueError("late"))
    assert engine.finish(heir, {}, 1.0)
    assert Effect.objects.count() == 1


def test_an_expired_lease_settles_nothing_even_before_it_is_swept() -> None:
    job = make_errand()
    assert engine.claim(job)
    expire_lease(job)
    assert not engine.finish(job, {}, 1.0)
    job.refresh_from_db()
    assert job.state == State.RUNNING
    assert Effect.objects.count() == 0


def test_an_expired_lease_is_a_failed_attempt() -> None:
    job = make_errand(kind="sleep")
    assert engine.claim(job)
    expire_lease(job)
    assert engine.expire(job)
    job.refresh_from_db()
    assert (job.state, job.attempts) == (State.WAITING, 1)
    assert job.errors[0]["type"] == "LeaseExpiredError"


def test_the_last_attempt_past_its_deadline_is_timed_out() -> None:
    job = make_errand(kind="overrun")
    assert engine.claim(job)
    expire_lease(job, deadline_at=timezone.now() - timedelta(seconds=5))
    assert engine.expire(Errand.objects.get(pk=job.pk))
    job.refresh_from_db()
    assert job.state == State.TIMED_OUT
    assert job in Errand.objects.dead()


def test_a_lease_lost_before_the_deadline_is_no_time_out() -> None:
    job = make_errand(kind="sleep", max_attempts=1)
    assert engine.claim(job)
    expire_lease(job, deadline_at=timezone.now() - timedelta(seconds=1))
    assert engine.expire(Errand.objects.get(pk=job.pk))
    job.refresh_from_db()
    assert (job.state, job.errors[0]["type"]) == (State.FAILED, "LeaseExpiredError")


def test_an_error_no_database_can_store_is_stored_readably() -> None:
    job = make_errand()
    assert engine.claim(job)
    assert engine.fail(job, ValueError("NUL \x00 and half \ud800 a pair"))
    job.refresh_from_db()
    assert job.errors[0]["message"] == "NUL \ufffd and half ? a pair"


def test_a_live_lease_does_not_expire() -> None:
    job = make_errand()
    assert engine.claim(job)
    assert list(Errand.objects.expired()) == []
    assert not engine.expire(job)


def test_retry_revives_a_dead_letter_and_keeps_its_history() -> None:
    job = run(make_errand(kind="refuse"))
    Errand.objects.filter(pk=job.pk).update(kind="note")
    job.refresh_from_db()
    assert job.retry(actor="ada")
    assert (job.state, job.attempts, len(job.errors)) == (State.WAITING, 0, 1)
    assert run(job).state == State.DONE


def test_retry_allows_as_many_attempts_as_the_kind_has() -> None:
    job = run(make_errand(kind="fail", seconds=99, max_attempts=1))
    assert job.state == State.FAILED
    assert job.retry()
    assert run(job).state == State.WAITING, "two more follow"
    assert job.attempts_allowed() == 3


def test_only_dead_letters_are_retried() -> None:
    job = make_errand()
    assert engine.claim(job)
    assert not job.retry()
    assert engine.finish(job, {}, 1.0)
    assert not job.retry()


def test_retry_of_a_job_with_an_open_twin_says_so() -> None:
    job = run(make_errand(kind="refuse", dedupe_key="same"))
    make_errand(dedupe_key="same")
    with pytest.raises(JobAlreadyOpenError):
        job.retry()
    assert operate.retry(Errand.objects.dead(), actor="ada").changed == []
    job.refresh_from_db()
    assert job.state == State.FAILED


def test_a_dead_queryset_is_retried_as_a_whole() -> None:
    jobs = [run(make_errand(kind="refuse")) for _ in range(3)]
    assert operate.retry(Errand.objects.dead(), actor="ada").changed == jobs
    assert Errand.objects.waiting().count() == 3


def test_a_running_job_that_is_cancelled_drops_its_result() -> None:
    job = make_errand()
    assert engine.claim(job)
    assert Errand.objects.get(pk=job.pk).cancel(actor="ada")
    assert not engine.finish(job, {}, 1.0)
    job.refresh_from_db()
    assert job.state == State.CANCELLED
    assert job not in Errand.objects.dead()


def test_a_job_that_tells_its_progress_can_still_be_cancelled() -> None:
    job = make_errand()
    assert engine.claim(job)
    stale = Errand.objects.get(pk=job.pk)
    assert job.update_guarded(seconds=1)
    assert stale.cancel()


def test_a_job_that_ended_meanwhile_is_not_cancelled() -> None:
    job = make_errand()
    stale = Errand.objects.get(pk=job.pk)
    run(job)
    assert not stale.cancel()
    assert run(job).state == State.DONE


def test_run_now_pulls_a_waiting_job_forward() -> None:
    job = make_errand(run_at=timezone.now() + timedelta(hours=1))
    assert job.run_now()
    assert run(job).state == State.DONE
    assert not job.run_now()


def test_hand_back_does_not_count_the_attempt() -> None:
    job = make_errand()
    assert engine.claim(job)
    assert engine.hand_back(job)
    job.refresh_from_db()
    assert (job.state, job.attempts, job.errors) == (State.WAITING, 0, [])


def test_a_lease_is_renewed_while_the_handler_runs(settings: Any) -> None:
    settings.LEASE_SECONDS, settings.LEASE_RENEW_SECONDS = 2, 0.25
    job = run(make_errand(kind="sleep", seconds=3))
    assert (job.state, job.attempts) == (State.DONE, 1)


def test_a_handler_learns_that_its_job_was_taken_away(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LEASE_RENEW_SECONDS = 0.05
    seen: list[type[Exception]] = []

    def handle(job: Errand) -> None:
        Errand.objects.get(pk=job.pk).cancel()
        try:
            wait_until(lambda: job.ensure_claimed())
        except LeaseLostError:
            seen.append(LeaseLostError)
            raise

    monkeypatch.setattr(tasks, "handle_note", handle)
    assert run(make_errand()).state == State.CANCELLED
    assert seen == [LeaseLostError]


def test_effects_that_cannot_be_stored_fail_the_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(job: Errand, error: BaseException | None) -> None:
        raise ValueError("cannot be stored" if error is None else "neither can this")

    monkeypatch.setattr(tasks, "after_settle", refuse)
    job = run(make_errand())
    assert (job.state, job.attempts, job.finished_at) == (State.WAITING, 1, None)
    assert [entry["message"] for entry in job.errors] == ["cannot be stored"]


def test_edges_not_in_the_table_raise() -> None:
    job = make_errand()
    with pytest.raises(InvalidTransitionError, match="waiting → done"):
        job.advance(State.DONE)


def test_no_more_than_the_cap_run_in_one_lane_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTMASTER_LANE_INSTANCE", "host/scans-1-abc")
    jobs = [make_errand(kind="capped") for _ in range(3)]
    assert [engine.claim(job) for job in jobs] == [True, True, False]
    assert engine.finish(jobs[0], {}, 0.1)
    assert engine.claim(jobs[2])


def test_a_claim_takes_few_queries(django_assert_max_num_queries: Callable[..., Any]) -> None:
    job = make_errand()
    # BEGIN, UPDATE, event, live event and on PostgreSQL its NOTIFY, read back, COMMIT
    with django_assert_max_num_queries(7):
        assert engine.claim(job)


def expire_lease(job: DurableJob, **fields: Any) -> None:
    past = timezone.now() - timedelta(seconds=5)
    type(job)._base_manager.filter(pk=job.pk).update(lease_until=past, **fields)
    for name, value in fields.items():
        setattr(job, name, value)


def wait_until(attempt: Callable[[], object], seconds: float = 30) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        attempt()
        time.sleep(0.02)
    pytest.fail(f"nothing happened in {seconds} s on {connection.vendor}")
