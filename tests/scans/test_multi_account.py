"""Two AWS accounts entered by their roles: each sees its own, and only with its external id."""

from __future__ import annotations

import json

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from hostmaster.core.jobs import engine
from scans.aws.clients import open_session
from scans.aws.collectors.all import COLLECTORS
from scans.aws.credentials import RoleToAssume
from scans.aws.errors import CredentialsRefusedError
from scans.aws.permissions import session_policy
from scans.aws.simulator import SIMULATED_ACCOUNT_ID, SIMULATED_KEYS, Simulator
from scans.aws.usage import IAM_ACTIONS
from scans.models import Account, Instance, MetricSummary, Resource, ScanJob, ScanUnit
from scans.services import add_account, request_scan
from tests.aws_simulator import estate
from tests.aws_simulator.fault_proxy import Fault, FaultProxy
from tests.factories import make_tenant

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]

REGION = "eu-west-1"
NUMBERS = ("111122223333", "444455556666")


@pytest.fixture(autouse=True)
def _logged_in(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """We ourselves are the simulator's own account."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", SIMULATED_KEYS.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SIMULATED_KEYS.secret_access_key)
    settings.AWS_ATTEMPTS = 2


def role_arn(number: str) -> str:
    return f"arn:aws:iam::{number}:role/hostmaster-scan"


def add_by_role(number: str, proxy: FaultProxy) -> Account:
    account = add_account(
        make_tenant(), name=number, role_arn=role_arn(number), regions=[REGION], is_simulated=True
    )
    proxy.trust(role_arn(number), account.external_id)
    return account


def fill(simulator: Simulator, number: str, instances: int) -> set[str]:
    """Put instances into the account of this number; answers their ids."""
    sts = estate.outside(simulator.endpoint_url, "sts", REGION)
    keys = sts.assume_role(RoleArn=role_arn(number), RoleSessionName="outside")["Credentials"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            estate,
            "SIMULATED_KEYS",
            type(SIMULATED_KEYS)(keys["AccessKeyId"], keys["SecretAccessKey"]),
        )
        ec2 = estate.outside(simulator.endpoint_url, "ec2", REGION)
    made = ec2.run_instances(
        ImageId=estate.IMAGE_ID, InstanceType="t3.micro", MinCount=instances, MaxCount=instances
    )
    return {instance["InstanceId"] for instance in made["Instances"]}


def discover(account: Account) -> ScanJob:
    """One attempt, now, in this process."""
    job = request_scan(account, kind="discovery", ring=False)
    ScanJob.objects.filter(pk=job.pk).update(run_at=timezone.now())
    job.refresh_from_db()
    assert engine.claim(job)
    engine.execute(job)
    job.refresh_from_db()
    return job


def test_two_accounts_are_scanned_and_none_sees_the_others_rows(
    aws_simulator: Simulator, fault_proxy: FaultProxy
) -> None:
    accounts = [add_by_role(number, fault_proxy) for number in NUMBERS]
    put = [fill(aws_simulator, number, n) for number, n in zip(NUMBERS, (2, 3), strict=True)]
    for account, number in zip(accounts, NUMBERS, strict=True):
        job = discover(account)
        assert (job.state, job.errors) == ("COMPLETED", [])
        account.refresh_from_db()
        assert (account.aws_account_id, account.status) == (number, "active")
    for account, ids in zip(accounts, put, strict=True):
        rows = Instance.objects.filter(account=account)
        assert {row.resource_id for row in rows} == ids
        assert {row.tenant_id for row in rows} == {account.tenant_id}
        metrics = MetricSummary.objects.filter(account=account)
        assert {row.resource_id for row in metrics} == ids
        assert {row.tenant_id for row in metrics} == {account.tenant_id}
    assert not Resource.objects.exists()
    assert SIMULATED_ACCOUNT_ID not in set(Account.objects.values_list("aws_account_id", flat=True))


def test_a_wrong_external_id_is_refused_and_fails_the_account(fault_proxy: FaultProxy) -> None:
    account = add_by_role(NUMBERS[0], fault_proxy)
    fault_proxy.trust(role_arn(NUMBERS[0]), "hm-of-somebody-else")
    ScanJob.objects.update(max_attempts=1)
    job = discover(account)
    assert job.errors[0]["type"] == "CredentialsRefusedError"
    assert "external id" in job.errors[0]["message"]
    assert not ScanUnit.objects.exists()
    fault_proxy.trust(role_arn(NUMBERS[0]), account.external_id)
    ScanJob.objects.all().delete()
    assert discover(account).state == "COMPLETED"


def test_a_session_may_only_read_and_everything_we_ask(fault_proxy: FaultProxy) -> None:
    with open_session(RoleToAssume(role_arn(NUMBERS[0]), "hm-1")):
        pass
    (assumed,) = [call for call in fault_proxy.calls if call.action == "AssumeRole"]
    assert assumed.parameters["Policy"] == session_policy()
    assert len(session_policy()) <= 2048  # AWS takes no more
    (statement,) = json.loads(session_policy())["Statement"]
    allowed = statement["Action"]
    needed = {action for c in COLLECTORS for action in c.iam_actions} | {
        *IAM_ACTIONS,
        "ec2:DescribeRegions",
    }
    for action in needed:
        assert any(_covers(pattern, action) for pattern in allowed), action
    reads = ("Describe", "Get", "List", "View", "Simulate")
    assert all(action.partition(":")[2].startswith(reads) for action in allowed)


def test_an_expired_session_is_assumed_once_more_and_the_call_repeated(
    aws_simulator: Simulator, fault_proxy: FaultProxy
) -> None:
    account = add_by_role(NUMBERS[0], fault_proxy)
    ids = fill(aws_simulator, NUMBERS[0], 2)
    fault_proxy.forget_calls()
    fault_proxy.add(Fault(code="RequestExpired", action="DescribeInstances", times=1))
    fault_proxy.add(Fault(code="ExpiredTokenException", action="GetMetricData", times=1))
    job = discover(account)
    own = job.units.exclude(service="ce")
    assert (job.state, set(own.values_list("outcome", flat=True))) == ("COMPLETED", {"ok"})
    counts = {action: 0 for action, _ in fault_proxy.counts()}
    for (action, _), count in fault_proxy.counts().items():
        counts[action] += count
    # Once for the scan, once because the session expired; later calls have the new one.
    assert (counts["AssumeRole"], counts["DescribeInstances"], counts["GetMetricData"]) == (2, 2, 2)
    assert {row.resource_id for row in Instance.objects.all()} == ids


def test_a_session_that_expires_again_and_again_fails_as_expired(fault_proxy: FaultProxy) -> None:
    account = add_by_role(NUMBERS[0], fault_proxy)
    fault_proxy.add(Fault(code="RequestExpired", action="DescribeInstances"))
    job = discover(account)
    assert job.errors[0]["type"] == "CredentialsRefusedError"
    assert "RequestExpired" in job.errors[0]["message"]
    assert fault_proxy.counts()["DescribeInstances", REGION] == 2
    assert fault_proxy.counts()["AssumeRole", "us-east-1"] == 2


def test_a_session_that_may_not_be_renewed_fails_as_expired(fault_proxy: FaultProxy) -> None:
    with open_session(RoleToAssume(role_arn(NUMBERS[0]), "hm-1")) as session:
        fault_proxy.deny("AssumeRole", service="sts")
        fault_proxy.add(Fault(code="ExpiredToken", action="GetCallerIdentity"))
        with pytest.raises(CredentialsRefusedError, match="expired"):
            session.caller_identity()
    assert fault_proxy.counts()["GetCallerIdentity", "us-east-1"] == 1


def _covers(pattern: str, action: str) -> bool:
    return action == pattern or (pattern.endswith("*") and action.startswith(pattern[:-1]))
