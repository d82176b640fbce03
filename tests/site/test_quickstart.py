"""`manage.py quickstart` and the web server's own workers, as real processes with real signals."""

from __future__ import annotations

import http.client
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import psutil
import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from alerts.models import AlertRule, Incident
from hostmaster.core.tenants.models import Tenant
from monitors.models import Monitor
from scans.aws.collectors.rows import VOLUME
from scans.aws.simulator import seed_demo, start_simulator
from scans.models import Account, Instance, Resource, ScanJob
from scans.services import request_scan
from tests.ports import free_port
from tests.projects import ROOT, Project

pytestmark = [pytest.mark.services, pytest.mark.timeout(180)]

END_SECONDS = 30  # a machine under load is slow to end; that it ends is what counts

# A laptop's command: one test tries it on PostgreSQL too.
on_sqlite = pytest.mark.parametrize("project_env", ["sqlite"], indirect=True)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture(autouse=True)
def _no_logs_left(port: int) -> Iterator[None]:
    yield
    for log in (ROOT / "var").glob(f"*-{port}.log"):
        log.unlink()


def wait_until(holds: Callable[[], object], seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it did not come true in time"
        time.sleep(0.1)


def wait_for_text(project: Project, process: subprocess.Popen[bytes], text: str) -> str:
    def is_there() -> bool:
        log = project.log(process)
        assert process.poll() is None or text in log, log
        return text in log

    wait_until(is_there, 90)
    return project.log(process)


def status_of(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def status_of_or_none(port: int) -> int | None:
    try:
        return status_of(port, "/health/live")
    except OSError:
        return None


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]


def words(process: psutil.Process) -> list[str]:
    """Its command line; none when it just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def web_pids(process: subprocess.Popen[bytes]) -> set[int]:
    return {p.pid for p in family(process) if "uvicorn" in words(p)}


def gone(processes: list[psutil.Process]) -> bool:
    return not [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.timeout(400)
def test_from_nothing_to_a_scanned_account_and_again(project_env: Project, port: int) -> None:
    first = project_env.start("quickstart", "--port", str(port))
    said = wait_for_text(project_env, first, "Ctrl-C stops everything")

    password = re.search(r"password (\S+)", said)
    assert password
    stored = get_user_model().objects.get(username="admin", is_superuser=True).password
    assert PBKDF2PasswordHasher().verify(password[1], stored)
    account = Account.objects.get(is_simulated=True)
    assert (account.name, account.status) == ("Simulated account", Account.Status.ACTIVE)
    assert account.credentials_sealed
    job = ScanJob.objects.get(kind=ScanJob.Kind.AWS)
    assert job.state == ScanJob.State.COMPLETED
    instances = Instance.objects.present().count()
    volumes = Resource.objects.present().filter(kind=VOLUME).count()
    assert min(instances, volumes) > 0
    assert re.search(rf"Instances +│ {instances} ", said)
    assert re.search(rf"Volumes +│ {volumes} ", said)
    assert "Not seen" not in said
    assert status_of(port, "/admin/login/") == 200
    assert f"hostmaster itself: http://127.0.0.1:{port}/health" in said
    assert "A port where nobody listens: tcp://127.0.0.1:9" in said
    assert "Only the processes started here may reach 127.0.0.1/32" in said
    assert "No channel yet, so nobody is told" in said
    assert_nobody_listens_is_told_of()

    processes = family(first)
    assert len(processes) > 5
    press_ctrl_c_twice(first)
    wait_until(lambda: gone(processes), END_SECONDS)

    started = time.monotonic()
    second = project_env.start("quickstart", "--port", str(port))
    said = wait_for_text(project_env, second, "Ctrl-C stops everything")
    assert time.monotonic() - started < 30
    assert "password" not in said
    assert Monitor.objects.count() == 2
    assert AlertRule.objects.filter(kind="down").count() == 1
    assert Tenant.objects.count() == get_user_model().objects.count() == 1
    assert ScanJob.objects.filter(kind=ScanJob.Kind.AWS).count() == 1
    assert Instance.objects.present().count() == instances
    again = request_scan(account)
    wait_until(lambda: ScanJob.objects.get(pk=again.pk).state == ScanJob.State.COMPLETED)
    assert Instance.objects.present().count() == instances, "the simulator holds the same"
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=END_SECONDS) == 143


def assert_nobody_listens_is_told_of() -> None:
    """An incident of the closed port and none of our own health, within a minute."""
    wait_until(lambda: Incident.objects.filter(status="open").exists(), 60)
    incident = Incident.objects.get(monitor__isnull=False)
    assert incident.monitor is not None
    assert incident.monitor.external_id == "quickstart-nobody-listens"
    own = Monitor.objects.filter(external_id="quickstart-health", status="up")
    wait_until(own.exists, 60)  # its first answer may be late on a busy machine


def press_ctrl_c_twice(process: subprocess.Popen[bytes]) -> None:
    """As the impatient do; it ends as if pressed once."""
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=END_SECONDS) == 130


# "Once it serves" is part of the test above.
@on_sqlite
@pytest.mark.parametrize("moment", ["at once", "while scanning"])
def test_ctrl_c_leaves_nothing_behind(project_env: Project, port: int, moment: str) -> None:
    process = project_env.start("quickstart", "--port", str(port))
    if moment == "at once":
        wait_for_text(project_env, process, "password")
    else:
        wait_until(lambda: ScanJob.objects.filter(state="FETCHING").exists())
    processes = family(process)
    press_ctrl_c_twice(process)
    wait_until(lambda: gone(processes), END_SECONDS)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
@on_sqlite
def test_killed_without_warning_it_leaves_nothing_behind(project_env: Project, port: int) -> None:
    process = project_env.start("quickstart", "--port", str(port), "--no-scan")
    wait_for_text(project_env, process, "Ctrl-C stops everything")
    processes = family(process)
    process.kill()
    process.wait(timeout=END_SECONDS)
    wait_until(lambda: gone(processes), END_SECONDS)


def touch_until_restart(project: Project, process: subprocess.Popen[bytes]) -> None:
    """A change before the watcher looks is seen by nobody, and nothing says since when it looks."""
    touched_at = -math.inf

    def is_restarting() -> bool:
        nonlocal touched_at
        if time.monotonic() - touched_at > 5:
            (ROOT / "hostmaster" / "wsgi.py").touch()
            touched_at = time.monotonic()
        return "changed: restarting" in project.log(process)

    wait_until(is_restarting)


@on_sqlite
def test_dev_restarts_web_and_workers_on_a_change(project_env: Project, port: int) -> None:
    process = project_env.start("quickstart", "--port", str(port), "--no-scan", "--dev")
    wait_for_text(project_env, process, "Ctrl-C stops everything")
    before = web_pids(process)
    touch_until_restart(project_env, process)
    wait_until(lambda: web_pids(process) - before and status_of_or_none(port) == 200)
    processes = family(process)
    assert not before & {p.pid for p in processes}
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=END_SECONDS) == 130
    wait_until(lambda: gone(processes), END_SECONDS)


@on_sqlite
def test_a_taken_port_is_named_with_the_way_out(project_env: Project, port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        done = project_env.manage("quickstart", "--port", str(port), check=False)
    assert done.returncode == 1
    assert f"Port {port} is taken" in done.stderr
    assert "--port" in done.stderr
    assert not Tenant.objects.exists()


@on_sqlite
def test_the_simulator_never_meets_a_real_account(project_env: Project, port: int) -> None:
    tenant = Tenant.objects.create(name="Real")
    real = Account.objects.create(
        tenant=tenant, name="Real", role_arn="arn:aws:iam::123456789012:role/r"
    )
    aws = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}  # nobody listens there
    process = project_env.start("quickstart", "--port", str(port), **aws)
    wait_for_text(project_env, process, "Ctrl-C stops everything")
    assert Account.objects.get(is_simulated=True).status == Account.Status.ACTIVE
    job = request_scan(real)
    wait_until(lambda: ScanJob.objects.get(pk=job.pk).errors)
    assert not Instance.objects.filter(account=real).exists()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=END_SECONDS) == 143


@pytest.fixture
def aws_login() -> Iterator[dict[str, str]]:
    """A simulator in AWS's place, and a shell that is logged in to it."""
    with start_simulator() as simulator:
        seed_demo(simulator.endpoint_url)
        yield {
            "AWS_ENDPOINT_URL": simulator.endpoint_url,
            "AWS_ACCESS_KEY_ID": "AKIACANARYCANARY0001",
            "AWS_SECRET_ACCESS_KEY": "canary-secret-access-key-of-this-shell",
            "AWS_SESSION_TOKEN": "canary-session-token-of-this-shell",
        }


@on_sqlite
def test_aws_scans_the_shells_account_and_keeps_no_secret(
    project_env: Project, port: int, aws_login: dict[str, str]
) -> None:
    process = project_env.start("quickstart", "--port", str(port), "--aws", **aws_login)
    said = wait_for_text(project_env, process, "Ctrl-C stops everything")
    account = Account.objects.get()
    assert (account.is_simulated, account.aws_account_id) == (False, "123456789012")
    assert ScanJob.objects.get().state == ScanJob.State.COMPLETED
    assert f"Instances       │ {Instance.objects.count()} " in said
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=END_SECONDS) == 130
    stored = b"".join(path.read_bytes() for path in project_env.directory.glob("db.sqlite3*"))
    logged = b"".join(path.read_bytes() for path in (ROOT / "var").glob(f"*-{port}.log"))
    for secret in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        assert aws_login[secret].encode() not in stored + logged + said.encode()


@on_sqlite
def test_aws_without_a_login_says_how_to_go_on(project_env: Project, port: int) -> None:
    done = project_env.manage(
        *("quickstart", "--port", str(port), "--aws"),
        check=False,
        AWS_EC2_METADATA_DISABLED="true",
        HOME=str(project_env.directory),
    )
    assert done.returncode == 1
    assert "Log in to AWS in this shell first" in done.stderr


@on_sqlite
def test_a_child_that_dies_ends_all_with_its_name(project_env: Project, port: int) -> None:
    process = project_env.start("quickstart", "--port", str(port), "--no-scan")
    wait_for_text(project_env, process, "Ctrl-C stops everything")
    processes = family(process)
    (web,) = [p for p in processes if "uvicorn" in words(p)]
    web.kill()
    assert process.wait(timeout=END_SECONDS) == 1
    assert "The web process stopped by itself" in project_env.log(process)
    wait_until(lambda: gone(processes), END_SECONDS)


@on_sqlite
def test_a_development_web_server_brings_its_own_workers(project_env: Project, port: int) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "hostmaster.asgi:application", "--port", str(port)],
        cwd=ROOT,
        env=project_env.environment | {"START_WORKERS": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(lambda: sum("qcluster" in words(p) for p in family(server)) >= 4)
        processes = family(server)
        server.terminate()
        server.wait(timeout=END_SECONDS)
        wait_until(lambda: gone(processes), END_SECONDS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)


@on_sqlite
def test_a_web_server_with_wrong_settings_refuses_to_start(project_env: Project, port: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uvicorn", "hostmaster.asgi:application", "--port", str(port)],
        cwd=ROOT,
        env=project_env.environment | {"ENCRYPTION_KEY": "short"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "hostmaster.E006" in done.stderr
    assert "Traceback" not in done.stderr
