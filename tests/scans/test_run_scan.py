"""`manage.py run_scan`, as a real process with real signals, against the AWS simulator."""

from __future__ import annotations

import json
import re
import signal
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from hostmaster.core.jobs.models import JobEvent
from scans.aws.simulator import SIMULATED_ACCOUNT_ID, SIMULATED_KEYS, Simulator
from scans.models import Account, Instance, ScanJob, ScanUnit
from scans.services import add_account, request_scan
from tests.aws_simulator.fault_proxy import FaultProxy
from tests.aws_simulator.seed import seed
from tests.concurrency.processes import wait_for
from tests.factories import make_scan_job, make_tenant
from tests.projects import Project

pytestmark = [pytest.mark.services, pytest.mark.timeout(120)]

REGIONS = ("eu-west-1", "us-east-1")
SHELL = {
    "AWS_ACCESS_KEY_ID": SIMULATED_KEYS.access_key_id,
    "AWS_SECRET_ACCESS_KEY": SIMULATED_KEYS.secret_access_key,
    "AWS_EC2_METADATA_DISABLED": "true",
}

on_sqlite = pytest.mark.parametrize("project_env", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("project_env", ["postgresql"], indirect=True)
END_SECONDS = 30  # a machine under load is slow to end, and the tests are about how it ends


@pytest.fixture
def project(project_env: Project, fault_proxy: FaultProxy) -> Project:
    """Its processes find the simulator behind the fault proxy."""
    project_env.environment["AWS_ENDPOINT_URL"] = fault_proxy.endpoint_url
    return project_env


def make_keyed_account() -> Account:
    return add_account(
        make_tenant(),
        name="Production",
        access_key_id=SIMULATED_KEYS.access_key_id,
        secret_access_key=SIMULATED_KEYS.secret_access_key,
        regions=REGIONS,
    )


@pytest.fixture
def account(project: Project) -> Account:
    return make_keyed_account()


def run_scan(project: Project, *arguments: str, code: int = 0) -> str:
    """Its output, after checking the exit code."""
    done = project.manage("run_scan", *arguments, check=False)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stdout
    return done.stdout + done.stderr


def start_and_interrupt(
    project: Project, number: signal.Signals, *arguments: str
) -> tuple[int, str]:
    """Start a scan whose calls hang, signal it in mid-scan; its exit code and output."""
    process = project.start("run_scan", *arguments)
    wait_for(lambda: ScanJob.objects.filter(progress_total__gt=0).exists(), 30, "it scans")
    process.send_signal(number)
    return process.wait(END_SECONDS), project.log(process)


def row_of(said: str, name: str) -> str:
    """What the summary says beside `name`."""
    found = re.search(rf"│ {name} +│ (.+?) *│", said)
    assert found, said
    return found[1]


def waiting_statements(cursor: CursorWrapper) -> int:
    """How many statements in this database wait for a lock, by a PostgreSQL cursor."""
    cursor.execute(
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
        "WHERE datname = current_database() AND NOT granted"
    )
    return int(cursor.fetchone()[0])


def answered(job: ScanJob) -> str:
    units = job.units.all()
    return f"{units.filter(outcome='ok').count()} of {units.count()} calls answered"


def events(job: ScanJob) -> list[str]:
    found = JobEvent.objects.filter(object_id=str(job.pk)).order_by("pk")
    return [event.to_state for event in found]


def test_a_scan_runs_here_and_its_result_is_a_table(
    project: Project, account: Account, aws_simulator: Simulator
) -> None:
    seed(aws_simulator.endpoint_url, regions=REGIONS, instances=4, unattached_volumes=2)
    said = run_scan(project, "--account", "Production")
    job = ScanJob.objects.get()
    assert (job.state, job.attempts, job.requested_by) == ("COMPLETED", 1, "run_scan")
    assert events(job) == ["FETCHING", "ANALYZING", "COMPLETED"]
    assert Instance.objects.present().count() == 4
    account.refresh_from_db()
    assert account.status == "active"
    assert f"Production ({SIMULATED_ACCOUNT_ID})" in said
    assert "Reading the account" in said
    assert row_of(said, "Instances") == "4"
    assert row_of(said, "Volumes") == "6"
    assert row_of(said, "Coverage") == answered(job)
    run_scan(project, "--account", str(account.pk), "--regions", "eu-west-1")
    assert ScanJob.objects.latest("created_at").regions == ["eu-west-1"]


@on_sqlite
def test_what_aws_denies_is_said_with_the_action_to_allow(
    project: Project, account: Account, fault_proxy: FaultProxy
) -> None:
    fault_proxy.deny("DescribeInstances", region="eu-west-1")
    said = run_scan(project, "--account", "Production")
    job = ScanJob.objects.get()
    assert job.units.filter(outcome="denied").count() == 1
    assert row_of(said, "Coverage") == answered(job)
    assert "DescribeInstances: access denied in eu-west-1, allow ec2:DescribeInstances" in said
    scan = json.loads(project.manage("run_scan", "--account", "Production", "--json").stdout)
    assert scan["state"] == "COMPLETED"
    denied = [unit for unit in scan["coverage"] if unit["outcome"] == "denied"]
    assert [(unit["region"], unit["missing_action"]) for unit in denied] == [
        ("eu-west-1", "ec2:DescribeInstances")
    ]


@on_sqlite
def test_refused_credentials_are_tried_three_times_and_end_with_1(
    project: Project, account: Account, fault_proxy: FaultProxy
) -> None:
    fault_proxy.refuse_credentials()
    said = run_scan(project, "--account", "Production", code=1)
    job = ScanJob.objects.get()
    assert (job.state, len(job.errors)) == ("FAILED", 3)
    account.refresh_from_db()
    assert (account.status, "InvalidClientTokenId" in account.status_reason) == ("failed", True)
    assert "Attempt 1 failed:" in said
    assert "Next attempt in" in said
    assert "The scan ended failed:" in said

    said = run_scan(project, "--account", "Production", "--no-retry", code=1)
    job = ScanJob.objects.latest("created_at")
    assert (job.state, len(job.errors)) == ("FAILED", 1)
    assert job.retry()
    assert job.attempts_allowed() == 3, "one attempt was wanted of that run only"
    assert job.cancel()
    fault_proxy.mend()
    run_scan(project, "--account", "Production")
    account.refresh_from_db()
    assert account.status == "active"


@on_sqlite
def test_with_the_queue_it_is_left_to_the_workers(project: Project, account: Account) -> None:
    done = project.manage("run_scan", "--account", "Production", "--queue")
    job = ScanJob.objects.get()
    assert (done.stdout.strip(), job.state) == (str(job.pk), "QUEUED")
    assert project.manage("run_scan", "--account", "Production", "--queue").stdout == done.stdout
    # Nobody runs it: the next one who asks takes it over.
    assert "is open since" in run_scan(project, "--account", "Production")
    job.refresh_from_db()
    assert (job.state, job.attempts) == ("COMPLETED", 1)


def test_an_open_scan_of_a_dead_process_is_followed_and_taken_over(
    project: Project, account: Account
) -> None:
    job = request_scan(account, claim=True)
    dead = {"lease_owner": "elsewhere/1/a", "lease_until": timezone.now()}
    ScanJob.objects.filter(pk=job.pk).update(**dead)
    said = run_scan(project, "--account", "Production")
    job.refresh_from_db()
    assert str(job.pk) in said
    assert (job.state, job.attempts) == ("COMPLETED", 2)
    assert job.errors[0]["type"] == "LeaseExpiredError"


@on_sqlite
def test_the_shells_login_scans_its_account_and_is_kept_nowhere(
    project: Project, aws_simulator: Simulator
) -> None:
    project.environment |= SHELL
    seed(aws_simulator.endpoint_url, regions=REGIONS, instances=2)
    make_tenant()
    flags = ["--current-credentials", "--regions", *REGIONS]
    said = run_scan(project, *flags)
    account = Account.objects.get()
    assert (account.aws_account_id, account.auth) == (SIMULATED_ACCOUNT_ID, "none")
    assert account.status == "active"
    job = ScanJob.objects.get()
    assert job.uses_shell_login
    assert (job.state, job.credentials_sealed) == ("COMPLETED", None)
    assert row_of(said, "Instances") == "2"
    assert SHELL["AWS_SECRET_ACCESS_KEY"] not in said
    run_scan(project, *flags)
    assert Account.objects.count() == 1
    said = run_scan(project, "--account", account.name, code=2)
    assert "--current-credentials" in said


@on_sqlite
def test_a_shell_that_is_not_logged_in_is_told_so(project: Project) -> None:
    make_tenant()
    project.environment |= {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(project.directory)}
    said = run_scan(project, "--current-credentials", code=1)
    assert "No AWS credentials were found here" in said
    project.environment["AWS_PROFILE"] = "nobody"
    said = run_scan(project, "--current-credentials", code=1)
    assert "ProfileNotFound" in said
    assert not ScanJob.objects.exists()
    assert not Account.objects.exists()


@on_sqlite
def test_a_worker_never_runs_a_scan_by_a_shells_login(project: Project, account: Account) -> None:
    project.environment |= SHELL
    account.status = Account.Status.ACTIVE
    account.save()
    job = make_scan_job(account=account, uses_shell_login=True)
    project.manage("qcluster", "--drain")
    job.refresh_from_db()
    account.refresh_from_db()
    assert (job.state, job.errors[0]["type"]) == ("FAILED", "ShellLoginGoneError")
    assert account.status == "active"


def test_ctrl_c_cancels_the_scan(
    project: Project, account: Account, fault_proxy: FaultProxy
) -> None:
    fault_proxy.hang("DescribeVolumes")
    code, said = start_and_interrupt(project, signal.SIGINT, "--account", "Production")
    job = ScanJob.objects.get()
    assert (code, job.state) == (130, "CANCELLED")
    assert "is cancelled" in said
    assert "Traceback" not in said


def test_sigterm_gives_the_scan_back_with_the_attempts_it_had(
    project: Project, account: Account, fault_proxy: FaultProxy
) -> None:
    fault_proxy.hang("DescribeVolumes")
    code, said = start_and_interrupt(project, signal.SIGTERM, "--account", "Production")
    job = ScanJob.objects.get()
    assert (code, job.state, job.attempts) == (143, "QUEUED", 0)
    assert "given back to the workers" in said
    fault_proxy.mend()
    project.manage("qcluster", "--drain")
    job.refresh_from_db()
    assert job.state == "COMPLETED"


@on_postgresql
@pytest.mark.parametrize(
    ("number", "code", "state"),
    [(signal.SIGTERM, 143, "QUEUED"), (signal.SIGINT, 130, "CANCELLED")],
)
def test_a_signal_in_the_middle_of_a_statement_ends_the_scan_as_any_other(
    project: Project, account: Account, number: signal.Signals, code: int, state: str
) -> None:
    """The statement waits for a lock that we hold: nothing but the signal can end it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {ScanUnit._meta.db_table} IN EXCLUSIVE MODE")
        process = project.start("run_scan", "--account", "Production")
        wait_for(partial(waiting_statements, cursor), 60, "it waits for our lock")
        process.send_signal(number)
        assert process.wait(END_SECONDS) == code, project.log(process)
        assert waiting_statements(cursor) == 0, "the server has left the statement"
    assert "Traceback" not in project.log(process)
    job = ScanJob.objects.get()
    assert (job.state, job.attempts, job.lease_owner) == (state, 0, "")


@on_postgresql
def test_a_signal_in_the_middle_of_the_claim_leaves_no_scan_behind(
    project: Project, account: Account
) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {ScanJob._meta.db_table} IN EXCLUSIVE MODE")
        process = project.start("run_scan", "--account", "Production")
        wait_for(partial(waiting_statements, cursor), 60, "it waits for our lock")
        process.send_signal(signal.SIGTERM)
        assert process.wait(END_SECONDS) == 143, project.log(process)
    assert "Stopped before the scan began." in project.log(process)
    assert not ScanJob.objects.exists()


@on_sqlite
def test_sigterm_cancels_what_no_worker_could_run(
    project: Project, fault_proxy: FaultProxy
) -> None:
    project.environment |= SHELL
    make_tenant()
    fault_proxy.hang("DescribeVolumes")
    flags = ("--current-credentials", "--regions", "eu-west-1")
    code, _ = start_and_interrupt(project, signal.SIGTERM, *flags)
    assert (code, ScanJob.objects.get().state) == (143, "CANCELLED")


@on_sqlite
def test_ctrl_c_between_two_attempts_cancels_too(
    project: Project, account: Account, fault_proxy: FaultProxy
) -> None:
    fault_proxy.refuse_credentials()
    process = project.start("run_scan", "--account", "Production", RETRY_DELAY="30000")
    wait_for(lambda: "Next attempt in 30 s" in project.log(process), 30, "the countdown")
    job = ScanJob.objects.get()
    assert job.state == "QUEUED"
    assert job.run_at > timezone.now() + timedelta(seconds=60), "the workers leave it alone"
    process.send_signal(signal.SIGINT)
    assert process.wait(END_SECONDS) == 130
    job.refresh_from_db()
    assert job.state == "CANCELLED"


@on_sqlite
def test_wrong_use_ends_with_2(project: Project, account: Account) -> None:
    run_scan(project, code=2)
    run_scan(project, "--account", "Production", "--current-credentials", code=2)
    run_scan(project, "--account", "Nobody", code=2)
    assert not ScanJob.objects.exists()


@on_sqlite
def test_ctrl_c_leaves_a_scan_that_another_process_runs(
    project: Project, account: Account, fault_proxy: FaultProxy
) -> None:
    fault_proxy.hang("DescribeVolumes")
    first = project.start("run_scan", "--account", "Production")
    wait_for(lambda: ScanJob.objects.filter(progress_total__gt=0).exists(), 30, "it scans")
    second = project.start("run_scan", "--account", "Production")
    wait_for(lambda: "following" in project.log(second), 30, "the second follows")
    second.send_signal(signal.SIGINT)
    assert second.wait(END_SECONDS) == 130
    assert "goes on" in project.log(second)
    assert ScanJob.objects.get().state == "FETCHING"
    first.send_signal(signal.SIGINT)
    assert first.wait(END_SECONDS) == 130
