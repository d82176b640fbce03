"""Proving access and the first discovery, by the names others call."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

import pytest
from botocore.exceptions import EndpointConnectionError
from django.utils import timezone
from pytest_django.fixtures import Settings

from scans.aws.discovery import (
    get_session_for_account,
    run_initial_discovery,
    scan_ec2_instances,
)
from scans.aws.simulator import SIMULATED_ACCOUNT_ID, SIMULATED_KEYS, Simulator
from scans.models import Account, Instance, MetricSummary, Resource, ScanJob
from scans.services import add_account, connect_account
from tests.aws_simulator.estate import put_hours
from tests.aws_simulator.fault_proxy import FaultProxy
from tests.aws_simulator.seed import seed, terminate
from tests.factories import make_account, make_tenant

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.services,
]

REGIONS = ("eu-west-1", "us-east-1")


def make_simulated_account(**overrides: Any) -> Account:
    return add_account(
        make_tenant(),
        **{
            "name": "simulated",
            "access_key_id": SIMULATED_KEYS.access_key_id,
            "secret_access_key": SIMULATED_KEYS.secret_access_key,
            "regions": REGIONS,
            **overrides,
        },
    )


def test_a_proved_account_is_connected_and_its_discovery_asked_for(
    aws_simulator: Simulator,
) -> None:
    account = connect_account(make_simulated_account())
    stored = Account.objects.get(pk=account.pk)
    assert (stored.status, stored.aws_account_id) == ("connected", SIMULATED_ACCOUNT_ID)
    assert [(job.kind, job.state) for job in stored.scan_jobs.all()] == [("discovery", "QUEUED")]


def test_an_account_by_role_is_entered_with_our_external_id(fault_proxy: FaultProxy) -> None:
    account = add_account(
        make_tenant(), name="role", role_arn="arn:aws:iam::123456789012:role/hostmaster-scan"
    )
    with pytest.MonkeyPatch.context() as shell:
        shell.setenv("AWS_ACCESS_KEY_ID", SIMULATED_KEYS.access_key_id)
        shell.setenv("AWS_SECRET_ACCESS_KEY", SIMULATED_KEYS.secret_access_key)
        account = connect_account(account)
    assert account.status == "connected"
    assert "AssumeRole" in {action for action, _ in fault_proxy.counts()}


def test_a_refused_account_is_failed_with_the_reason_and_nothing_is_asked_for(
    fault_proxy: FaultProxy,
) -> None:
    fault_proxy.refuse_credentials()
    account = connect_account(make_simulated_account())
    assert account.status == "failed"
    assert "InvalidClientTokenId" in account.status_reason
    assert not ScanJob.objects.exists()
    fault_proxy.mend()
    account = connect_account(account)
    assert (account.status, account.status_reason) == ("connected", "")


def test_an_account_without_credentials_is_failed_and_says_so() -> None:
    account = connect_account(make_account())
    assert account.status == "failed"
    assert "neither a role nor an access key" in account.status_reason


def test_connecting_an_active_account_again_leaves_it_active(aws_simulator: Simulator) -> None:
    account = make_simulated_account()
    run_initial_discovery(account.pk)
    assert connect_account(account).status == "active"


def test_aws_out_of_reach_proves_nothing(settings: Settings) -> None:
    settings.AWS_ENDPOINT_URL = "http://127.0.0.1:9"
    account = make_simulated_account()
    with pytest.raises(EndpointConnectionError):
        connect_account(account)
    account.refresh_from_db()
    assert account.status == "pending"


@pytest.mark.parametrize("known_as", ["key", "text", "number"])
def test_discovery_stores_instances_only_and_activates_the_account(
    aws_simulator: Simulator, known_as: str
) -> None:
    seed(aws_simulator.endpoint_url, regions=REGIONS, instances=4, addresses=1)
    account = connect_account(make_simulated_account())
    ids: dict[str, UUID | str] = {
        "key": account.pk,
        "text": str(account.pk),
        "number": SIMULATED_ACCOUNT_ID,
    }
    job = run_initial_discovery(ids[known_as])
    assert (job.kind, job.state) == ("discovery", "COMPLETED")
    account.refresh_from_db()
    assert account.status == "active"
    assert Instance.objects.present().count() == 4
    assert not Resource.objects.exists()


def test_a_discovery_shows_usage_at_once(aws_simulator: Simulator) -> None:
    seeded = seed(aws_simulator.endpoint_url, regions=REGIONS, instances=2)
    (instance_id,) = seeded["eu-west-1"].instance_ids
    put_hours(
        aws_simulator.endpoint_url,
        "eu-west-1",
        "AWS/EC2",
        "CPUUtilization",
        {"InstanceId": instance_id},
        [30.0] * 12,
    )
    account = connect_account(make_simulated_account())
    job = run_initial_discovery(account.pk)
    assert (job.progress_done, job.progress_total) == (6, 6)
    cpu = MetricSummary.objects.get(resource_id=instance_id, metric="cpu_percent")
    assert (cpu.account, cpu.average, cpu.datapoints) == (account, 30, 12)


def test_a_discovery_somebody_else_runs_is_only_returned(aws_simulator: Simulator) -> None:
    account = make_simulated_account()
    running = ScanJob.objects.create(
        account=account, kind="discovery", state="FETCHING", lease_until=timezone.now()
    )
    job = run_initial_discovery(account.pk)
    assert (job.pk, job.state) == (running.pk, "FETCHING")
    assert not Instance.objects.exists()


def test_a_first_discovery_that_fails_for_good_fails_the_account(
    fault_proxy: FaultProxy, settings: Settings
) -> None:
    account = connect_account(make_simulated_account())
    ScanJob.objects.update(max_attempts=1)
    fault_proxy.deny("DescribeInstances")
    job = run_initial_discovery(account.pk)
    account.refresh_from_db()
    assert (job.state, account.status) == ("FAILED", "failed")
    assert "DescribeInstances" in account.status_reason


def test_the_health_check_after_a_discovery_may_fail_with_one_warning(
    aws_simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Each component's own failure is a verdict; only the whole can still fail.
    def broken(db: object = None) -> dict[str, Any]:
        raise RuntimeError("no component answers")

    monkeypatch.setattr("scans.aws.tasks.run_all_health_checks", broken)
    account = make_simulated_account()
    with caplog.at_level(logging.WARNING):
        job = run_initial_discovery(account.pk)
    assert job.state == "COMPLETED"
    warnings = [r for r in caplog.records if "no component answers" in r.getMessage()]
    assert [r.levelname for r in warnings] == ["WARNING"]


def test_one_region_is_scanned_by_hand(aws_simulator: Simulator) -> None:
    seeded = seed(aws_simulator.endpoint_url, regions=REGIONS, instances=4)
    account = make_simulated_account()
    with get_session_for_account(account) as session:
        assert scan_ec2_instances(session, account.pk, "eu-west-1") == 2
        assert set(Instance.objects.values_list("region", flat=True)) == {"eu-west-1"}
        terminate(aws_simulator.endpoint_url, "eu-west-1", seeded["eu-west-1"].instance_ids[:1])
        scan_ec2_instances(session, str(account.pk), "eu-west-1")
    assert Instance.objects.present().count() == 1
