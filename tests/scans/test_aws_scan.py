"""A whole scan against the AWS simulator: what is stored, what is said, what goes wrong."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import pytest
from django.db import connection
from django.forms.models import model_to_dict
from django.utils import timezone
from pytest_django.fixtures import Settings

from hostmaster.core.jobs import engine
from scans.aws import clients
from scans.aws.collectors.all import COLLECTORS
from scans.aws.simulator import SIMULATED_ACCOUNT_ID, SIMULATED_KEYS, Simulator
from scans.models import (
    Account,
    Instance,
    MetricSummary,
    Recommendation,
    Resource,
    ScanJob,
    ScanUnit,
)
from scans.services import (
    add_account,
    request_scan,
    request_scan_with_credentials,
)
from tests.aws_simulator.fault_proxy import Fault, FaultProxy
from tests.aws_simulator.seed import seed, terminate
from tests.factories import make_account, make_tenant

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.services,
]

TWO_REGIONS = ("eu-west-1", "us-east-1")
SERVICES = ("ec2", "rds", "elb", "elbv2", "s3")
METRIC_CALLS = ("GetMetricData", "ListMetrics")


def make_simulated_account(**overrides: Any) -> Account:
    return add_account(
        overrides.pop("tenant", None) or make_tenant(),
        **{
            "name": "simulated",
            "access_key_id": SIMULATED_KEYS.access_key_id,
            "secret_access_key": SIMULATED_KEYS.secret_access_key,
            "regions": TWO_REGIONS,
            "is_simulated": True,
            **overrides,
        },
    )


def run(job: ScanJob) -> ScanJob:
    """One attempt, now, in this process."""
    ScanJob.objects.filter(pk=job.pk).update(run_at=timezone.now())
    job.refresh_from_db()
    assert engine.claim(job)
    engine.execute(job)
    job.refresh_from_db()
    return job


def scan(account: Account) -> ScanJob:
    return run(request_scan(account, ring=False))


def outcomes(job: ScanJob) -> dict[tuple[str, str], str]:
    """Of all calls but those for costs, which the simulator does not know."""
    units = job.units.exclude(service="ce")
    return {(unit.call, unit.region): unit.outcome for unit in units}


@pytest.fixture(autouse=True)
def _quick(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tries a call instead of ten: the proxy's faults do not pass."""
    settings.RETRY_DELAY = 1
    settings.AWS_ATTEMPTS = 2
    monkeypatch.setattr(clients, "RETRY_MODE", "standard")


def test_everything_that_is_there_is_stored_and_judged(aws_simulator: Simulator) -> None:
    seed(
        aws_simulator.endpoint_url,
        regions=TWO_REGIONS,
        instances=6,
        unattached_volumes=2,
        addresses=2,
    )
    account = make_simulated_account()
    job = scan(account)
    assert (job.state, job.errors) == ("COMPLETED", [])
    assert Instance.objects.present().count() == 6
    assert Resource.objects.present().filter(kind="ebs_volume").count() == 8
    assert Resource.objects.present().filter(kind="elastic_ip").count() == 2
    rows = {kind: count for kind, count in job.summary["rows"].items() if count}
    assert rows == {"ec2_instance": 6, "ebs_volume": 8, "elastic_ip": 2}
    assert set(outcomes(job).values()) == {"ok"}
    lists = {(c.call, region) for c in COLLECTORS for region in TWO_REGIONS}
    metrics = {(call, region) for call in METRIC_CALLS for region in TWO_REGIONS}
    assert set(outcomes(job)) == lists | metrics
    # Lists, metrics of each region, costs, rules.
    steps = len(COLLECTORS) * 2 + 2 + 1 + 1
    assert (job.progress_done, job.progress_total) == (steps, steps)
    assert MetricSummary.objects.filter(kind="ec2_instance").count() == 6 * 3
    assert job.summary["metrics"] == 6 * 3 + 6
    assert Recommendation.objects.filter(rule="ebs.gp2_gp3").count() == 6
    assert job.summary["recommendations"]["open"] == 6


def test_a_scan_makes_its_account_active_and_its_cached_figures_stale(
    aws_simulator: Simulator,
) -> None:
    account = make_simulated_account()
    scan(account)
    account.refresh_from_db()
    assert (account.status, account.status_reason) == ("active", "")
    assert account.aws_account_id == SIMULATED_ACCOUNT_ID
    assert account.cache_generation == 1
    assert account.last_scan_at is not None


def test_a_second_scan_changes_only_times(aws_simulator: Simulator) -> None:
    times = ["last_seen_at", "last_job", "updated_at", "evidence"]

    def facts() -> list[dict[str, Any]]:
        models = (Instance, Resource, Recommendation)
        return [
            model_to_dict(row, exclude=times) for m in models for row in m.objects.order_by("pk")
        ]

    seed(aws_simulator.endpoint_url, regions=TWO_REGIONS, instances=4, unattached_volumes=2)
    account = make_simulated_account()
    scan(account)
    before = facts()
    scan(account)
    assert facts() == before


def test_terminated_and_deleted_things_become_gone(aws_simulator: Simulator) -> None:
    seeded = seed(aws_simulator.endpoint_url, regions=TWO_REGIONS, instances=6)
    account = make_simulated_account()
    scan(account)
    victims = seeded["eu-west-1"].instance_ids[:2]
    terminate(aws_simulator.endpoint_url, "eu-west-1", victims)
    job = scan(account)
    gone = Instance.objects.filter(gone_at__isnull=False)
    assert set(gone.values_list("resource_id", flat=True)) == set(victims)
    assert Instance.objects.present().count() == 4
    assert job.summary["rows"]["ec2_instance"] == 4


def test_a_denied_region_leaves_its_rows_alone_and_the_scan_completes(
    aws_simulator: Simulator, fault_proxy: FaultProxy
) -> None:
    seeded = seed(aws_simulator.endpoint_url, regions=TWO_REGIONS, instances=4)
    account = make_simulated_account()
    scan(account)
    untouched = list(Instance.objects.filter(region="eu-west-1").order_by("pk").values())
    terminate(aws_simulator.endpoint_url, "eu-west-1", seeded["eu-west-1"].instance_ids)
    fault_proxy.deny("DescribeInstances", region="eu-west-1")
    job = scan(account)
    assert job.state == "COMPLETED"
    assert outcomes(job)["DescribeInstances", "eu-west-1"] == "denied"
    assert outcomes(job)["DescribeVolumes", "eu-west-1"] == "ok"
    assert Counter(outcomes(job).values())["denied"] == 1
    denied = job.units.get(outcome="denied")
    assert denied.missing_action == "ec2:DescribeInstances"
    assert denied.error_code == "UnauthorizedOperation"
    assert list(Instance.objects.filter(region="eu-west-1").order_by("pk").values()) == untouched
    assert job.summary["is_partial"] is True
    assert job.summary["units"]["denied"] == 1


def test_refused_credentials_are_tried_three_times_then_the_account_failed_and_can_be_mended(
    fault_proxy: FaultProxy,
) -> None:
    account = make_simulated_account()
    fault_proxy.refuse_credentials()
    job = request_scan(account, ring=False)
    for attempt in (1, 2):
        run(job)
        assert (job.state, job.attempts) == ("QUEUED", attempt)
        account.refresh_from_db()
        assert account.status == "pending"
    run(job)
    assert job.state == "FAILED"
    assert list(ScanJob.objects.dead()) == [job]
    assert [e["attempt"] for e in job.errors] == [1, 2, 3]
    assert {e["type"] for e in job.errors} == {"CredentialsRefusedError"}
    account.refresh_from_db()
    assert account.status == "failed"
    assert "access key" in account.status_reason
    assert SIMULATED_KEYS.access_key_id not in account.status_reason + repr(job.errors)

    fault_proxy.mend()
    assert job.retry(actor="alice")
    run(job)
    account.refresh_from_db()
    assert (job.state, account.status, account.status_reason) == ("COMPLETED", "active", "")
    assert len(job.errors) == 3


def test_an_active_account_whose_credentials_are_refused_for_good_is_failed(
    fault_proxy: FaultProxy,
) -> None:
    account = make_simulated_account()
    scan(account)
    fault_proxy.refuse_credentials()
    job = request_scan(account, ring=False)
    for _ in range(3):
        run(job)
    account.refresh_from_db()
    assert (job.state, account.status) == ("FAILED", "failed")


def test_a_transient_failure_never_moves_an_active_account(fault_proxy: FaultProxy) -> None:
    account = make_simulated_account()
    scan(account)
    for service in SERVICES:
        fault_proxy.add(Fault(code="InternalError", service=service))
    job = request_scan(account, ring=False)
    for _ in range(3):
        run(job)
    account.refresh_from_db()
    assert (job.state, account.status) == ("FAILED", "active")


def test_a_scan_of_which_every_call_was_denied_failed(fault_proxy: FaultProxy) -> None:
    account = make_simulated_account()
    for collector in COLLECTORS:
        fault_proxy.deny(collector.call, service=collector.service)
    job = scan(account)
    assert job.state == "QUEUED"
    assert job.errors[0]["type"] == "NothingScannedError"
    assert "UnauthorizedOperation" in job.errors[0]["message"]
    assert set(outcomes(job).values()) == {"denied"}


def test_the_coverage_is_that_of_the_last_attempt(fault_proxy: FaultProxy) -> None:
    account = make_simulated_account()
    for service in SERVICES:
        fault_proxy.deny(service=service)
    job = scan(account)
    assert "DescribeRegions" in {unit.call for unit in job.units.all()}
    fault_proxy.mend()
    run(job)
    assert (job.state, set(outcomes(job).values())) == ("COMPLETED", {"ok"})


def test_a_chosen_region_that_is_off_is_part_of_the_coverage(aws_simulator: Simulator) -> None:
    account = make_simulated_account(regions=["eu-west-1", "me-central-1"])
    job = scan(account)
    assert job.state == "COMPLETED"
    assert outcomes(job)["DescribeInstances", "me-central-1"] == "not_enabled"
    assert job.summary["units"]["not_enabled"] == len(COLLECTORS)
    assert set(outcomes(job).values()) == {"ok", "not_enabled"}


def test_credentials_of_another_aws_account_are_refused(aws_simulator: Simulator) -> None:
    account = make_simulated_account()
    Account.objects.filter(pk=account.pk).update(aws_account_id="999999999999")
    job = scan(account)
    assert job.errors[0]["type"] == "CredentialsRefusedError"
    assert "999999999999" in job.errors[0]["message"]
    assert not ScanUnit.objects.exists()


def test_a_cancelled_scan_stops_and_stores_no_result(
    aws_simulator: Simulator, fault_proxy: FaultProxy
) -> None:
    seed(aws_simulator.endpoint_url, regions=TWO_REGIONS, instances=2)
    account = make_simulated_account()
    job = request_scan(account, ring=False)
    fault_proxy.delay(1, action="DescribeInstances")

    def cancel_while_it_waits() -> None:
        while not any(call.action == "DescribeInstances" for call in fault_proxy.calls):
            time.sleep(0.01)
        while not ScanJob.objects.get(pk=job.pk).cancel(actor="alice"):
            time.sleep(0.01)
        connection.close()

    person = threading.Thread(target=cancel_while_it_waits)
    person.start()
    run(job)
    person.join()
    assert (job.state, job.summary) == ("CANCELLED", {})
    assert not Recommendation.objects.exists()
    account.refresh_from_db()
    assert account.status == "pending"


def test_one_off_credentials_scan_the_account_they_belong_to_and_are_forgotten(
    aws_simulator: Simulator,
) -> None:
    seed(aws_simulator.endpoint_url, regions=TWO_REGIONS, instances=2)
    tenant = make_tenant()
    keys = {
        "access_key_id": SIMULATED_KEYS.access_key_id,
        "secret_access_key": SIMULATED_KEYS.secret_access_key,
    }
    job = run(
        request_scan_with_credentials(tenant, credentials=keys, regions=TWO_REGIONS, ring=False)
    )
    assert (job.state, job.credentials_sealed) == ("COMPLETED", None)
    account = Account.objects.get()
    assert job.account == account
    assert (account.tenant, account.aws_account_id) == (tenant, SIMULATED_ACCOUNT_ID)
    assert (account.auth, account.status) == ("none", "active")
    assert Instance.objects.filter(account=account).count() == 2
    # Again: the same account. Its own scan cannot enter, and says so at once.
    again = request_scan_with_credentials(tenant, credentials=keys, regions=TWO_REGIONS, ring=False)
    assert run(again).account == account
    own = scan(account)
    assert (own.state, own.errors[0]["type"]) == ("FAILED", "NoCredentialsHereError")


def test_one_off_credentials_wait_for_a_scan_of_their_account_that_is_open(
    aws_simulator: Simulator,
) -> None:
    account = make_account(aws_account_id=SIMULATED_ACCOUNT_ID)
    request_scan(account, ring=False)
    keys = {
        "access_key_id": SIMULATED_KEYS.access_key_id,
        "secret_access_key": SIMULATED_KEYS.secret_access_key,
    }
    job = run(request_scan_with_credentials(account.tenant, credentials=keys, ring=False))
    assert (job.state, job.errors[0]["type"]) == ("QUEUED", "AnotherScanOpenError")
    assert job.credentials_sealed


def test_refused_one_off_credentials_fail_no_account_and_cannot_be_retried_without_new_ones(
    fault_proxy: FaultProxy,
) -> None:
    tenant = make_tenant()
    account = make_account(tenant=tenant, aws_account_id=SIMULATED_ACCOUNT_ID, status="active")
    keys = {"access_key_id": "AKIACANARYCANARY0003", "secret_access_key": "canary-0003"}
    fault_proxy.refuse_credentials()
    job = request_scan_with_credentials(tenant, credentials=keys, ring=False)
    for _ in range(3):
        run(job)
    assert (job.state, job.credentials_sealed) == ("FAILED", None)
    account.refresh_from_db()
    assert account.status == "active"
    assert job.retry(actor="alice")
    run(job)
    assert (job.state, job.errors[-1]["type"]) == ("FAILED", "CredentialsForgottenError")
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM scan_jobs")
        assert "canary" not in repr(cursor.fetchall()).lower()
