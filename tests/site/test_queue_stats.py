from __future__ import annotations

import json
import re
import signal
import time
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from hostmaster.core.health.heartbeats import beat
from hostmaster.core.health.models import Heartbeat
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.metrics.gauges import job_models
from hostmaster.site.queue import LONG_QUEUE, LaneStats, queue_stats
from hostmaster.site.views import lane_row
from scans.models import ScanState
from tests.factories import make_errand, make_scan_job, make_staff, make_user
from tests.projects import Project


def stats_of(lane: Lane) -> LaneStats:
    return next(stats for stats in queue_stats() if stats.lane == lane)


def make_queue() -> None:
    """One of each in the scans lane, two waiting ones in the default lane."""
    now = timezone.now()
    lease = {"lease_owner": "w", "lease_until": now + timedelta(minutes=1)}
    make_scan_job(run_at=now - timedelta(seconds=90.5))
    make_scan_job(run_at=now + timedelta(hours=1))
    make_scan_job(state=ScanState.FETCHING, **lease)
    make_scan_job(state=ScanState.COMPLETED, finished_at=now - timedelta(hours=23))
    make_scan_job(state=ScanState.COMPLETED, finished_at=now - timedelta(hours=25))
    make_scan_job(state=ScanState.FAILED, finished_at=now)
    make_scan_job(state=ScanState.TIMED_OUT, finished_at=now - timedelta(days=9))
    make_scan_job(state=ScanState.CANCELLED, finished_at=now)
    make_errand(kind="quick", run_at=now)
    make_errand(kind="quick", run_at=now - timedelta(seconds=10))


@pytest.mark.django_db
@pytest.mark.both_databases
def test_each_job_counts_once_in_its_lane() -> None:
    make_queue()

    scans = stats_of(Lane.SCANS)

    assert (scans.waiting, scans.due, scans.active) == (2, 1, 1)
    assert (scans.completed_24h, scans.failed_24h, scans.dead) == (1, 1, 2)
    assert scans.oldest_wait_seconds == pytest.approx(90, abs=10)
    default = stats_of(Lane.DEFAULT)
    assert (default.waiting, default.due) == (2, 2)
    assert default.oldest_wait_seconds == pytest.approx(10, abs=10)
    assert stats_of(Lane.ALERTS).oldest_wait_seconds is None


@pytest.mark.django_db
def test_only_workers_that_beat_lately_are_alive() -> None:
    beat("worker", "scans", "one")
    beat("worker", "scans", "silent")
    beat("lane", "scans", "parent")
    Heartbeat.objects.filter(name="silent").update(beat_at=timezone.now() - timedelta(hours=1))

    assert stats_of(Lane.SCANS).workers == 1


@pytest.mark.django_db
def test_costs_two_queries_a_model_however_many_jobs(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    make_queue()

    with django_assert_num_queries(2 * len(job_models()) + 1):
        queue_stats()


@pytest.mark.parametrize(
    ("stats", "says"),
    [
        (LaneStats("scans"), ""),
        (LaneStats("scans", due=1), "Start manage.py qcluster --lane scans"),
        (LaneStats("scans", due=1, workers=1, oldest_wait_seconds=2), ""),
        (LaneStats("scans", due=LONG_QUEUE + 1, workers=1), "Add a qcluster"),
        (LaneStats("scans", due=1, workers=1, oldest_wait_seconds=301), "Add a qcluster"),
    ],
)
def test_advice_comes_only_when_work_waits(stats: LaneStats, says: str) -> None:
    assert (says in stats.advice) if says else not stats.advice


@pytest.mark.django_db
def test_page_shows_every_lane_and_is_linked_from_the_index(client: Client) -> None:
    make_queue()
    client.force_login(make_staff())

    page = " ".join(re.sub(r"<[^>]+>", " ", client.get("/admin/queue/").content.decode()).split())

    assert "scans 2 (1 due) 1 1 1 ✗ 2 90 s ! none" in page
    assert "qcluster --lane scans" in page
    assert "/admin/queue/" in client.get("/admin/").content.decode()


def test_figures_lead_to_the_one_list_that_has_all_their_jobs() -> None:
    one, several = (
        LaneStats("scans", models=["scans.ScanJob"]),
        LaneStats("scans", models=["a", "b"]),
    )

    assert lane_row(one)["jobs_url"] == "/admin/scans/scanjob/"
    assert lane_row(several)["jobs_url"] == ""
    assert lane_row(LaneStats("alerts", models=["kernel_app.Errand"]))["jobs_url"] == ""


@pytest.mark.django_db
@pytest.mark.parametrize("who", ["stranger", "member"])
def test_page_is_for_staff(client: Client, who: str) -> None:
    if who == "member":
        member: User = make_user()
        client.force_login(member)

    assert client.get("/admin/queue/").headers["Location"].startswith("/admin/login/")


def output_of(*arguments: str) -> str:
    out = StringIO()
    call_command("queue_stats", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_command_prints_json_that_machines_read() -> None:
    make_queue()

    lanes: list[dict[str, Any]] = json.loads(output_of("--json"))

    assert [lane["lane"] for lane in lanes] == ["alerts", "default", "scans"]
    assert lanes[2]["dead"] == 2
    assert lanes[2]["models"] == ["kernel_app.Errand", "scans.ScanJob"]


@pytest.mark.django_db
def test_command_prints_plain_columns_into_a_pipe() -> None:
    make_queue()

    lines = output_of().splitlines()

    assert lines[0].split()[:3] == ["lane", "waiting", "due"]
    assert lines[3].split()[:7] == ["scans", "2", "1", "1", "1", "1", "2"]
    assert lines[-1].startswith("! scans: Nobody works here.")


@pytest.mark.services
def test_watch_looks_again_until_ctrl_c(project_env: Project) -> None:
    watching = project_env.start("queue_stats", "--watch")
    deadline = time.monotonic() + 30
    while project_env.log(watching).count("lane ") < 2:
        assert time.monotonic() < deadline, project_env.log(watching)
        time.sleep(0.1)

    watching.send_signal(signal.SIGINT)

    assert watching.wait(timeout=60) == 130
    assert "Traceback" not in project_env.log(watching)
