"""Proving access by a role: whom it lets in, what we may, and figures at once afterwards."""

from __future__ import annotations

from collections import Counter

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from django.test import Client
from pytest_django.fixtures import Settings

from hostmaster.core.jobs import engine
from scans.aws.accounts import SimulatorNotRunningError
from scans.aws.clients import demands_external_id
from scans.aws.credentials import RoleToAssume
from scans.aws.discovery import get_session_for_account, trigger_rediscovery
from scans.aws.onboarding import NOT_ASKED, UNSAFE_TRUST
from scans.aws.policy import required_actions
from scans.aws.simulator import SIMULATED_KEYS, Simulator
from scans.models import Account, Instance, ScanJob
from scans.services import add_account, connect_account, edit_account, request_scan
from tests.api.caller import Caller
from tests.aws_simulator.fault_proxy import Fault, FaultProxy
from tests.aws_simulator.seed import seed
from tests.factories import make_account, make_staff, make_tenant

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]

NUMBER = "111122223333"
ROLE = f"arn:aws:iam::{NUMBER}:role/hostmaster-scan"
REGION = "eu-west-1"
NOBODY = "http://127.0.0.1:9"  # listens there
KEYS = {
    "access_key_id": SIMULATED_KEYS.access_key_id,
    "secret_access_key": SIMULATED_KEYS.secret_access_key,
}


@pytest.fixture(autouse=True)
def _our_own_login(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", SIMULATED_KEYS.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SIMULATED_KEYS.secret_access_key)
    settings.AWS_ATTEMPTS = 2


def by_role(name: str = "role") -> Account:
    return add_account(make_tenant(), name=name, role_arn=ROLE, regions=[REGION])


def by_keys(**overrides: object) -> Account:
    fields = {"name": "keys", "regions": [REGION], **KEYS, **overrides}
    return add_account(make_tenant(), **fields)  # type: ignore[arg-type] # one of each name


# Whom the role lets in


def test_a_role_that_demands_the_external_id_is_connected_without_a_warning(
    fault_proxy: FaultProxy,
) -> None:
    account = by_role()
    fault_proxy.trust(ROLE, account.external_id)
    account = connect_account(account)
    assert (account.status, account.status_reason, account.trust_warning) == ("connected", "", "")
    ids = [c.parameters.get("ExternalId") for c in fault_proxy.calls if c.action == "AssumeRole"]
    assert ids == [account.external_id, None]


def test_a_role_that_lets_everybody_in_is_named_until_it_is_mended(
    fault_proxy: FaultProxy,
) -> None:
    account = connect_account(by_role())
    assert (account.status, account.trust_warning) == ("connected", UNSAFE_TRUST)
    stranger = [c for c in fault_proxy.calls if "ExternalId" not in c.parameters]
    (tried,) = [c for c in stranger if c.action == "AssumeRole"]
    assert '"Deny"' in tried.parameters["Policy"]  # what we get by it is of no use to anybody
    fault_proxy.trust(ROLE, account.external_id)
    assert connect_account(account).trust_warning == ""


def test_an_unsafe_role_in_another_tenants_account_is_refused(fault_proxy: FaultProxy) -> None:
    make_account(aws_account_id=NUMBER)
    account = connect_account(by_role())
    assert (account.status, account.status_reason) == ("failed", UNSAFE_TRUST)
    assert not ScanJob.objects.exists()
    fault_proxy.trust(ROLE, account.external_id)
    assert connect_account(account).status == "connected"


def test_a_scan_is_no_way_round_that_refusal(fault_proxy: FaultProxy) -> None:
    make_account(aws_account_id=NUMBER)
    job = request_scan(by_role(), ring=False)
    assert engine.claim(job)
    engine.execute(job)
    job.refresh_from_db()
    assert (job.errors[0]["type"], job.units.count()) == ("CredentialsRefusedError", 0)
    assert job.errors[0]["message"] == UNSAFE_TRUST


def test_a_trust_check_aws_did_not_answer_proves_nothing(fault_proxy: FaultProxy) -> None:
    fault_proxy.add(Fault(code="InternalError", action="AssumeRole"))
    with pytest.raises(ClientError, match="InternalError"):
        demands_external_id(RoleToAssume(ROLE, "hm-1"))


def test_new_credentials_forget_what_was_said_of_the_former(fault_proxy: FaultProxy) -> None:
    account = connect_account(by_role())
    assert account.permissions
    edit_account(account, **KEYS)
    account.refresh_from_db()
    assert (account.trust_warning, account.permissions) == ("", [])


# What we may


def test_each_permission_is_proved_by_a_cheap_call_or_left_to_the_discovery(
    aws_simulator: Simulator, fault_proxy: FaultProxy
) -> None:
    seed(aws_simulator.endpoint_url, regions=[REGION], instances=1)
    fault_proxy.forget_calls()
    fault_proxy.deny("DescribeVolumes")
    fault_proxy.deny("DescribeDBInstances", service="rds")
    account = connect_account(by_keys())
    assert account.status == "connected"
    told = {row["action"]: row["outcome"] for row in account.permissions}
    assert tuple(told) == required_actions()
    denied = {"ec2:DescribeVolumes", "rds:DescribeDBInstances"}
    assert {action for action, outcome in told.items() if outcome == "denied"} == denied
    assert {a for a, outcome in told.items() if outcome not in {"ok", "denied", NOT_ASKED}} == set()
    left = {action for action, outcome in told.items() if outcome == NOT_ASKED}
    # A request to Cost Explorer costs money; the others ask about one thing.
    assert {a for a in told if a.startswith("ce:")} <= left
    assert told["ec2:DescribeInstances"] == told["cloudwatch:ListMetrics"] == "ok"
    assert max(Counter(call.action for call in fault_proxy.calls).values()) <= 2
    assert not [call for call in fault_proxy.calls if call.service in {"ce", "pricing"}]


def test_what_is_missing_is_shown_on_the_page_and_by_the_api(
    fault_proxy: FaultProxy, client: Client
) -> None:
    fault_proxy.deny("DescribeVolumes")
    account = connect_account(by_role())
    client.force_login(make_staff())
    page = client.get(f"/admin/scans/account/{account.pk}/change/").content.decode()
    lacking = page.split('aria-label="Permissions that are missing"')[1].split("</table>")[0]
    assert "ec2:DescribeVolumes" in lacking
    assert "ec2:DescribeInstances" not in lacking
    assert "lets us in without the external ID" in page
    for words in ("sts:ExternalId", account.external_id, "AWS::IAM::Role", "ce:GetCostAndUsage"):
        assert words in page
    caller = Caller(account.tenant)
    told = caller.get(f"/accounts/{account.pk}").body
    assert told["trust_warning"] == UNSAFE_TRUST
    assert [p["action"] for p in told["permissions"] if p["outcome"] == "denied"] == [
        "ec2:DescribeVolumes"
    ]


# Simulated accounts


def test_a_simulated_account_asks_the_simulator_and_a_real_one_never(
    aws_simulator: Simulator, settings: Settings
) -> None:
    settings.AWS_SIMULATOR_URL, settings.AWS_ENDPOINT_URL = aws_simulator.endpoint_url, NOBODY
    seed(aws_simulator.endpoint_url, regions=[REGION], instances=1)
    simulated = connect_account(by_keys(is_simulated=True))
    assert simulated.status == "connected"
    job = ScanJob.objects.get()
    assert engine.claim(job)
    engine.execute(job)
    assert Instance.objects.filter(account=simulated).count() == 1
    with get_session_for_account(simulated) as session:
        assert session.caller_identity().account_id
    real = by_keys(name="real")
    with pytest.raises(EndpointConnectionError):
        connect_account(real)
    with get_session_for_account(real) as session, pytest.raises(EndpointConnectionError):
        session.caller_identity()


def test_a_simulated_account_without_a_simulator_says_what_starts_it(
    settings: Settings, client: Client
) -> None:
    settings.AWS_SIMULATOR_URL = settings.AWS_ENDPOINT_URL = ""
    account = by_keys(is_simulated=True)
    with pytest.raises(SimulatorNotRunningError, match="script/run starts it"):
        connect_account(account)
    account.advance("connected")
    job = trigger_rediscovery(account.pk)
    assert engine.claim(job)
    engine.execute(job)
    job.refresh_from_db()
    account.refresh_from_db()
    assert (job.state, job.attempts, account.status) == ("FAILED", 1, "connected")
    assert "script/run starts it" in job.errors[0]["message"]
    told = Caller(account.tenant).post(f"/accounts/{account.pk}/connect")
    assert told.status == 502
    assert "script/run starts it" in str(told.body)
    client.force_login(make_staff())
    page = client.post(f"/admin/scans/account/{account.pk}/connect/", follow=True)
    assert "script/run starts it" in page.content.decode()
