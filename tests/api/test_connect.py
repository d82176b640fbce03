"""`POST /accounts/{id}/connect` against the AWS simulator: what AWS says, in HTTP."""

from __future__ import annotations

import pytest

from scans.aws.simulator import SIMULATED_ACCOUNT_ID, SIMULATED_KEYS, Simulator
from scans.models import Account, ScanJob
from tests.api.caller import Answer, Caller
from tests.aws_simulator.fault_proxy import Fault, FaultProxy
from tests.scans.conftest import aws_simulator, fault_proxy, simulator_process  # noqa: F401 - fixtures

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture
def caller() -> Caller:
    return Caller()


def connect(caller: Caller) -> Answer:
    """The account, added once."""
    account = Account.objects.first()
    if account is None:
        keys = {
            "access_key_id": SIMULATED_KEYS.access_key_id,
            "secret_access_key": SIMULATED_KEYS.secret_access_key,
        }
        caller.post("/accounts", name="Production", **keys)
        account = Account.objects.get()
    return caller.post(f"/accounts/{account.pk}/connect")


def test_proved_access_answers_connected_and_asks_for_a_discovery(
    caller: Caller,
    aws_simulator: Simulator,  # noqa: F811 - a fixture
) -> None:
    answer = connect(caller)
    assert (answer.status, answer.body) == (200, {"status": "connected"})
    account = Account.objects.get()
    assert (account.status, account.aws_account_id) == ("connected", SIMULATED_ACCOUNT_ID)
    assert ScanJob.objects.get().kind == "discovery"


def test_an_active_account_answers_the_same_and_stays_active(
    caller: Caller,
    aws_simulator: Simulator,  # noqa: F811 - a fixture
) -> None:
    connect(caller)
    Account.objects.update(status="active")
    assert connect(caller).body == {"status": "connected"}
    assert Account.objects.get().status == "active"


def test_refused_credentials_are_409_with_the_reason_and_mended_ones_connect(
    caller: Caller,
    fault_proxy: FaultProxy,  # noqa: F811 - a fixture
) -> None:
    fault_proxy.refuse_credentials()
    answer = connect(caller)
    assert answer.status == 409
    assert "InvalidClientTokenId" in answer.body["detail"]
    assert Account.objects.get().status == "failed"
    fault_proxy.mend()
    assert connect(caller).status == 200


def test_aws_that_cannot_be_asked_is_502_and_changes_nothing(
    caller: Caller,
    fault_proxy: FaultProxy,  # noqa: F811 - a fixture
) -> None:
    fault_proxy.add(Fault(code="Throttling", service="sts"))
    answer = connect(caller)
    assert answer.status == 502
    assert "Rate exceeded" in answer.body["detail"]
    assert Account.objects.get().status == "pending"
    assert not ScanJob.objects.exists()
