"""Real clusters on real databases, killed and stopped with real signals."""

from __future__ import annotations

import os
import signal
import socket
import statistics
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import requests
from django.db.models import QuerySet
from django.utils import timezone

from hostmaster.core.health.models import SystemLog
from tests.concurrency.processes import (
    GRACE,
    LEASE,
    alive,
    family,
    kill,
    running_lane,
    stop,
    wait_for,
)
from tests.factories import make_errand, make_tenant
from tests.kernel_app.models import Effect, Errand, Parcel, Start
from tests.ports import free_port
from tests.projects import Project

pytestmark = [
    pytest.mark.services,
    pytest.mark.both_databases,
    pytest.mark.timeout(180),
]

State = Errand.State


def done() -> int:
    return Errand.objects.filter(state=State.DONE).count()


def reached(rows: QuerySet[Any], count: int) -> bool:
    return rows.all().count() == count


@pytest.mark.serial
def test_two_clusters_claim_each_of_500_jobs_once(project_env: Project) -> None:
    tenant = make_tenant()
    Errand.objects.bulk_create(Errand(tenant=tenant) for _ in range(500))  # plain ORM, no bell
    clusters = [project_env.start("qcluster", "--lane", "scans") for _ in range(2)]
    wait_for(lambda: done() == 500, 150, "500 errands done")
    starts = Counter(Start.objects.values_list("errand_id", flat=True))
    assert len(starts) == 500
    assert set(starts.values()) == {1}
    assert Effect.objects.count() == 500
    assert set(Errand.objects.values_list("attempts", flat=True)) == {1}
    for cluster in clusters:
        assert stop(cluster) == 0, project_env.log(cluster)


def test_kill_9_of_a_worker_and_of_everything_loses_nothing(project_env: Project) -> None:
    tenant = make_tenant()
    jobs = [make_errand(tenant=tenant, kind="sleep", seconds=1.0) for _ in range(12)]
    cluster = project_env.start("qcluster", "--lane", "scans")
    wait_for(lambda: Start.objects.count() >= 3, 60, "a few handlers at work")
    kill(Start.objects.latest("pk").pid)
    wait_for(lambda: done() >= 2, 60, "the others go on")
    for process in family(cluster):
        kill(process.pid)
    cluster.wait(5)
    killed_at = time.monotonic()
    heir = project_env.start("qcluster", "--lane", "scans")
    wait_for(lambda: done() == len(jobs), LEASE + 60, "all done after everything was killed")
    print(f"recovered in {time.monotonic() - killed_at:.1f} s")
    assert Effect.objects.count() == len(jobs), "effects of a settle happen once"
    assert Start.objects.count() > len(jobs), "and at least one handler was cut off"
    assert stop(heir) == 0


def test_no_process_outlives_a_killed_supervisor(project_env: Project) -> None:
    make_errand(kind="sleep", seconds=30)
    cluster = project_env.start("qcluster", "--lane", "scans")
    wait_for(lambda: Start.objects.exists(), 60, "a handler at work")
    everyone = family(cluster)
    kill(cluster.pid)
    cluster.wait(5)
    wait_for(lambda: not alive(everyone), 30, "all descendants gone")


@pytest.mark.serial
@pytest.mark.parametrize(
    ("told", "kind"),
    [("parent", "sleep"), ("parent", "stubborn"), ("group", "sleep"), ("everyone", "sleep")],
)
def test_sigterm_hands_jobs_back_with_the_attempts_they_had(
    project_env: Project, told: str, kind: str
) -> None:
    """To the parent, to its process group, or to every process as systemd may do."""
    jobs = [make_errand(kind=kind, seconds=40) for _ in range(3)]
    cluster = project_env.start("qcluster", "--lane", "scans")
    wait_for(lambda: Start.objects.count() == 3, 60, "three handlers at work")
    everyone = family(cluster)
    started = time.monotonic()
    if told == "group":
        os.killpg(cluster.pid, signal.SIGTERM)
    for process in everyone if told == "everyone" else everyone[: told == "parent"]:
        process.terminate()
    assert cluster.wait(GRACE + 1) == 0, project_env.log(cluster)
    assert time.monotonic() - started <= GRACE
    assert alive(everyone) == []
    for job in jobs:
        job.refresh_from_db()
        assert (job.state, job.attempts, job.lease_owner) == (State.WAITING, 0, "")


@pytest.mark.serial
def test_sigterm_lets_short_work_finish(project_env: Project) -> None:
    job = make_errand(kind="sleep", seconds=2)
    cluster = project_env.start("qcluster", "--lane", "scans")
    wait_for(lambda: Start.objects.exists(), 60, "a handler at work")
    assert stop(cluster) == 0
    job.refresh_from_db()
    assert job.state == State.DONE


def test_a_job_that_kills_its_worker_is_a_dead_letter_after_its_attempts(
    project_env: Project,
) -> None:
    poison = make_errand(kind="die")
    neighbours = [make_errand() for _ in range(5)]
    cluster = project_env.start("qcluster", "--lane", "scans")
    wait_for(lambda: Errand.objects.dead().exists(), 2 * (LEASE + 5) + 60, "the poison is dead")
    poison.refresh_from_db()
    assert (poison.state, poison.attempts) == (State.FAILED, 2)
    assert [entry["type"] for entry in poison.errors] == ["LeaseExpiredError"] * 2
    assert done() == len(neighbours)
    assert stop(cluster) == 0


@pytest.mark.serial
def test_a_job_past_its_deadline_is_timed_out_at_once(project_env: Project) -> None:
    job = make_errand(kind="overrun")
    cluster = project_env.start("qcluster", "--lane", "scans")
    wait_for(lambda: Errand.objects.dead().exists(), 60, "timed out")
    job.refresh_from_db()
    assert job.state == State.TIMED_OUT
    assert job.finished_at is not None
    assert job.started_at is not None
    assert (job.finished_at - job.started_at).total_seconds() < 8
    assert stop(cluster) == 0


@pytest.mark.serial
def test_a_lane_killed_eleven_times_in_a_minute_ends_the_supervisor(project_env: Project) -> None:
    cluster = project_env.start("qcluster", "--lane", "alerts")
    started = time.monotonic()
    for number in range(1, 12):
        kill(running_lane(cluster, "alerts").pid)
        crashes = SystemLog.objects.filter(component="qcluster")
        wait_for(partial(reached, crashes, number), 10, f"crash {number} in the system log")
    assert cluster.wait(GRACE) == 1, project_env.log(cluster)
    assert time.monotonic() - started < 60, "eleven kills fit into a minute"
    rows = SystemLog.objects.filter(component="qcluster", level="critical")
    assert rows.count() == 11
    assert rows.first() is not None
    assert {row.context["fact"] for row in rows} == {"worker_crash"}


def test_idle_processes_that_are_killed_stop_nobody_else(project_env: Project) -> None:
    """Not even until the watchdog looks: a waiting worker holds the lock of the queue."""
    cluster = project_env.start("qcluster", "--lane", "scans", WATCHDOG_SECONDS="600")
    wait_for(lambda: len(family(cluster)) >= 10, 60, "its cluster runs")
    lane = running_lane(cluster, "scans")
    for number in range(1, 8):  # five workers, and who reads and writes for them
        make_errand()
        wait_for(lambda: done() == number, 60, "a job runs")  # noqa: B023 asked at once
        idle = family(cluster)[3:]
        idle[number % len(idle)].kill()
    make_errand()
    wait_for(lambda: done() == 8, 60, "the last one, too")
    assert lane.is_running()
    assert stop(cluster) == 0


@pytest.mark.serial
def test_the_watchdog_leaves_when_due_work_waits_and_the_queue_is_dead(
    project_env: Project,
) -> None:
    cluster = project_env.start("qcluster", "--lane", "scans", WATCHDOG_SECONDS="3")
    first = running_lane(cluster, "scans")
    wait_for(lambda: len(family(cluster)) >= 9, 60, "its cluster runs")
    for process in family(cluster)[2:]:  # all but the supervisor and the lane itself
        process.suspend()
    make_errand()
    wait_for(lambda: not first.is_running(), 60, "the stuck lane left")
    wait_for(lambda: done() == 1, 60, "its successor ran the job")
    assert "nothing moves" in project_env.log(cluster)
    row = SystemLog.objects.get(component="qcluster")
    assert row.context["exit_code"] == 1
    assert stop(cluster) == 0


@pytest.mark.serial
def test_a_slow_drain_never_delays_the_alerts_lane(project_env: Project) -> None:
    Parcel.objects.bulk_create(Parcel(drain="slow") for _ in range(200))
    cluster = project_env.start("qcluster")
    slow = Parcel.objects.filter(drain="slow", delivered_at__isnull=False)
    wait_for(lambda: slow.count() >= 2, 60, "the slow drain at work")
    delays = []
    for _ in range(8):
        urgent = Parcel.objects.create(drain="urgent")
        delivered = Parcel.objects.filter(pk=urgent.pk, delivered_at__isnull=False)
        wait_for(delivered.all().exists, 10, "urgent parcel")
        urgent.refresh_from_db()
        assert urgent.delivered_at is not None
        delays.append((urgent.delivered_at - urgent.created_at).total_seconds())
    assert slow.count() < 200, "the slow drain was busy all along"
    # Found by the ticker (0.2 s here) plus at most a turn of the other drain (1 s). The median
    # keeps out what a busy machine adds to one of them.
    assert statistics.median(delays) <= 0.2 + 1.0, delays
    assert max(delays) <= 3, delays
    assert stop(cluster) == 0


def test_a_schedule_with_bad_arguments_stops_no_other(project_env: Project) -> None:
    from django_q.models import Schedule

    due = timezone.now() - timedelta(minutes=1)
    for name, args in [("poison", "(1, "), ("poison too", "os.system('x')")]:
        Schedule.objects.create(name=name, func="math.fsum", args=args, next_run=due)
    cluster = project_env.start("qcluster", "--lane", "default")
    ticks = Parcel.objects.filter(drain="tick")
    wait_for(lambda: ticks.count() >= 3, 60, "the good schedule fires each second")
    rows = SystemLog.objects.filter(component="schedules")
    assert rows.count() == 2
    assert stop(cluster) == 0


def test_a_taken_worker_port_is_said_before_anything_starts(project_env: Project) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = project_env.manage("qcluster", check=False, WORKER_PORT=port)
    assert ended.returncode == 1
    assert f"WORKER_PORT {port} cannot be opened" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_worker_port_answers_while_lanes_run(project_env: Project) -> None:
    port = free_port()
    cluster = project_env.start("qcluster", "--lane", "alerts", WORKER_PORT=str(port))
    answers: list[dict[str, Any]] = []

    def ask() -> bool:
        with suppress(requests.ConnectionError):
            answers.append(requests.get(f"http://127.0.0.1:{port}/health", timeout=5).json())
        return bool(answers)

    wait_for(ask, 60, "an answer on the worker port")
    assert answers[0]["database"] == "connected"
    assert "components" in answers[0]
    assert stop(cluster) == 0
