"""Checks: the kernel's components, budgets, what the whole makes of its parts."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from hostmaster.core.health.checks import (
    Result,
    Verdict,
    overall,
    run_all_health_checks,
    run_checks,
    slow_is_degraded,
)
from hostmaster.core.health.components import (
    check_database,
    check_queue,
    check_workers,
    percentile,
)
from hostmaster.core.health.heartbeats import interval_seconds
from hostmaster.core.health.models import Heartbeat, Status, WriteProbe
from hostmaster.core.jobs.lanes import Lane
from tests.factories import make_errand
from tests.health import scripted
from tests.health.conftest import Register
from tests.kernel_app.models import Errand


def make_worker(lane: Lane, silent_intervals: float) -> None:
    silence = timedelta(seconds=silent_intervals * interval_seconds())
    Heartbeat.objects.create(
        name=f"{lane}-{silent_intervals}",
        kind=Heartbeat.Kind.WORKER,
        lane=lane.value,
        host="h",
        pid=1,
        beat_at=timezone.now() - silence,
    )


@pytest.mark.django_db
@pytest.mark.both_databases
def test_the_database_is_measured_and_written_to() -> None:
    verdict = check_database()
    assert verdict.status in {Status.HEALTHY, Status.DEGRADED}  # a noisy machine may be slow
    assert verdict.detail["samples"] >= 1
    assert 0 < verdict.detail["p50_ms"] <= verdict.detail["p95_ms"]
    assert WriteProbe.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("minutes", "status"), [(1, Status.HEALTHY), (3, Status.DEGRADED), (11, Status.CRITICAL)]
)
def test_the_queue_is_judged_by_its_oldest_due_job(minutes: int, status: Status) -> None:
    make_errand(kind="note", run_at=timezone.now() - timedelta(minutes=minutes))
    make_errand(kind="quick", run_at=timezone.now() + timedelta(hours=1))
    verdict = check_queue()
    assert verdict.status == status
    waited = verdict.detail["lanes"]["scans"]["oldest_due_seconds"]
    assert waited == pytest.approx(minutes * 60, abs=10)
    assert verdict.detail["lanes"]["default"] == {"open_jobs": 1, "oldest_due_seconds": 0.0}


@pytest.mark.django_db
def test_jobs_that_run_or_ended_do_not_wait() -> None:
    long_ago = timezone.now() - timedelta(days=1)
    make_errand(run_at=long_ago, state=Errand.State.RUNNING)
    make_errand(run_at=long_ago, state=Errand.State.FAILED)
    assert check_queue().status == Status.HEALTHY


@pytest.mark.django_db
@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("silent_intervals", "status"),
    [(1, Status.HEALTHY), (3, Status.DEGRADED), (6, Status.CRITICAL)],
)
def test_a_lane_is_judged_by_its_latest_heartbeat(silent_intervals: float, status: Status) -> None:
    make_worker(Lane.ALERTS, 0)
    make_worker(Lane.DEFAULT, 0)
    make_worker(Lane.SCANS, silent_intervals)
    make_worker(Lane.SCANS, 50)
    assert check_workers().status == status


@pytest.mark.django_db
def test_a_lane_without_a_worker_is_critical_and_named() -> None:
    make_worker(Lane.ALERTS, 0)
    make_worker(Lane.DEFAULT, 0)
    verdict = check_workers()
    assert verdict.status == Status.CRITICAL
    assert "scans: no worker" in verdict.message


@pytest.mark.django_db
def test_workers_that_never_reported_are_unknown_not_healthy() -> None:
    assert check_workers().status == Status.UNKNOWN


@pytest.mark.django_db
@pytest.mark.both_databases
def test_all_checks_answer_json_within_a_second() -> None:
    for lane in Lane:
        make_worker(lane, 0)
    started = time.monotonic()
    answer = run_all_health_checks("a session the caller has")
    assert time.monotonic() - started < 1.0
    assert json.loads(json.dumps(answer)) == answer
    assert answer["components"].keys() >= {"database", "queue", "workers"}
    for component in answer["components"].values():
        assert component["status"] in Status.values
        assert component["ms"] >= 0
        assert component["message"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.both_databases
def test_outside_a_transaction_checks_run_side_by_side_and_leave_no_connection_open(
    components: Register,
) -> None:
    components(first="check", second="check")
    scripted.play(Status.HEALTHY)
    assert run_all_health_checks()["status"] == "healthy"
    assert scripted.calls == 2


@pytest.mark.django_db(transaction=True)
def test_a_hanging_check_is_degraded_in_its_budget_and_never_piles_up(
    components: Register, hanging_ends: None, settings: Settings
) -> None:
    settings.HEALTH_CHECK_SECONDS = 0.9
    components(stuck="hanging", fine="check")
    scripted.play(Status.HEALTHY)
    started = time.monotonic()
    stuck = {result.component: result for result in run_checks()}["stuck"]
    again = {result.component: result for result in run_checks()}["stuck"]
    assert time.monotonic() - started < 30  # it hangs until the test ends
    assert stuck.verdict.status == again.verdict.status == Status.DEGRADED
    assert again.ms > stuck.ms  # the same attempt, still under way


@pytest.mark.django_db(transaction=True)
def test_a_raising_check_is_critical_and_its_secret_masked(components: Register) -> None:
    components(bad="broken")
    [result] = run_checks()
    assert result.verdict.status == Status.CRITICAL
    assert "RuntimeError" in result.verdict.message
    assert "hunter2" not in result.verdict.message


def test_a_healthy_answer_that_took_too_long_is_degraded(settings: Settings) -> None:
    settings.HEALTH_CHECK_SECONDS = 0.9
    slow = Result("thing", Verdict(Status.HEALTHY, "Fine."), ms=950)
    assert slow_is_degraded(slow).verdict.status == Status.DEGRADED
    assert slow_is_degraded(Result("thing", Verdict(Status.HEALTHY), ms=10)).verdict.status == (
        Status.HEALTHY
    )


@pytest.mark.parametrize(
    ("statuses", "whole"),
    [
        ([], Status.HEALTHY),
        (["healthy", "not_configured"], Status.HEALTHY),
        (["not_configured"], Status.HEALTHY),
        (["healthy", "unknown"], Status.UNKNOWN),
        (["unknown", "degraded"], Status.DEGRADED),
        (["critical", "degraded", "unknown"], Status.CRITICAL),
    ],
)
def test_the_whole_is_as_its_worst_part(statuses: list[str], whole: Status) -> None:
    assert overall(statuses) == whole


@given(values=st.lists(st.floats(0, 1000), min_size=1), percent=st.integers(1, 100))
def test_a_percentile_is_reached_by_that_share_of_the_values(
    values: list[float], percent: int
) -> None:
    bound = percentile(values, percent)
    assert bound in values
    assert sum(value <= bound for value in values) * 100 >= percent * len(values)
    assert sum(value < bound for value in values) * 100 < percent * len(values)
