"""check_health and health_monitor, as processes."""

from __future__ import annotations

import json
import signal

import pytest
from django.core.management import call_command
from django.utils import timezone

from hostmaster.core.health.models import ComponentState, Heartbeat, Status, SystemLog
from hostmaster.core.jobs.lanes import Lane
from tests.health import scripted
from tests.health.conftest import Register
from tests.health.waiting import wait_until
from tests.projects import Project


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (Status.HEALTHY, 0),
        (Status.NOT_CONFIGURED, 0),
        (Status.DEGRADED, 1),
        (Status.CRITICAL, 2),
        (Status.UNKNOWN, 3),
    ],
)
def test_the_exit_code_tells_how_the_whole_fares(
    status: Status, code: int, components: Register, capsys: pytest.CaptureFixture[str]
) -> None:
    components(thing="check")
    scripted.play(status)
    ended: object = 0
    try:
        call_command("check_health")
    except SystemExit as leaving:
        ended = leaving.code
    assert ended == code
    assert f"scripted: {status.value}" in capsys.readouterr().out


@pytest.mark.services
def test_a_process_with_live_workers_ends_with_zero_and_json_on_stdout(
    project_env: Project,
) -> None:
    for lane in Lane:
        Heartbeat.objects.create(name=lane.value, kind="worker", lane=lane.value, host="h", pid=1)
    # On a busy machine their beats must not be old when the command has started, nor checks slow.
    done = project_env.manage(
        "check_health", "--json", check=False, HEARTBEAT_SECONDS="600", HEALTH_CHECK_SECONDS="30"
    )
    answer = json.loads(done.stdout)
    code = {"healthy": 0, "degraded": 1}[answer["status"]]  # a noisy machine may be slow
    assert done.returncode == code
    assert answer["components"]["workers"]["status"] == "healthy"


@pytest.mark.services
def test_wrong_use_and_what_cannot_be_told_end_with_three(project_env: Project) -> None:
    assert project_env.manage("check_health", "--no-such-option", check=False).returncode == 3
    assert project_env.manage("check_health", check=False).returncode == 3  # no worker ever
    assert project_env.manage("check_health", "--help", check=False).returncode == 0


@pytest.mark.services
def test_a_database_that_is_away_is_critical(project_env: Project) -> None:
    away = "postgresql://nobody@127.0.0.1:1/nothing"
    done = project_env.manage("check_health", check=False, DATABASE_URL=away)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.services
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_monitor_runs_rounds_and_leaves_on_a_signal(
    project_env: Project, number: signal.Signals
) -> None:
    started = timezone.now()
    monitor = project_env.start("health_monitor", "--interval", "0.2")
    states = ComponentState.objects.filter(component="database", checked_at__gte=started)
    wait_until(states.exists, 60)
    first = states.get().checked_at
    wait_until(lambda: states.get().checked_at != first)
    assert SystemLog.objects.filter(component="health_monitor").exists()
    monitor.send_signal(number)
    assert monitor.wait(timeout=60) == 0, project_env.log(monitor)


@pytest.mark.services
def test_the_monitor_refuses_an_interval_of_nothing(project_env: Project) -> None:
    done = project_env.manage("health_monitor", "--interval", "0", check=False)
    assert done.returncode == 2
    assert "--interval" in done.stderr
