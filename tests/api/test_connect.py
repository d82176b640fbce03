"""`POST /accounts/{id}/connect` against the AWS simulator: what AWS says, in HTTP."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from hostmaster.core.tenants.models import Role
from scans.aws.simulator import SIMULATED_ACCOUNT_ID, SIMULATED_KEYS, Simulator
from scans.models import Account, ScanJob
from tests.api.caller import Answer, Caller
from tests.aws_simulator.fault_proxy import Fault, FaultProxy
from tests.concurrency.processes import wait_for

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture
def caller() -> Caller:
    return Caller(role=Role.ADMIN)


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
    aws_simulator: Simulator,
) -> None:
    answer = connect(caller)
    assert (answer.status, answer.body) == (200, {"status": "connected"})
    account = Account.objects.get()
    assert (account.status, account.aws_account_id) == ("connected", SIMULATED_ACCOUNT_ID)
    assert ScanJob.objects.get().kind == "discovery"


def test_an_active_account_answers_the_same_and_stays_active(
    caller: Caller,
    aws_simulator: Simulator,
) -> None:
    connect(caller)
    Account.objects.update(status="active")
    assert connect(caller).body == {"status": "connected"}
    assert Account.objects.get().status == "active"


def test_refused_credentials_are_409_with_the_reason_and_mended_ones_connect(
    caller: Caller,
    fault_proxy: FaultProxy,
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
    fault_proxy: FaultProxy,
) -> None:
    fault_proxy.add(Fault(code="Throttling", service="sts"))
    answer = connect(caller)
    assert answer.status == 502
    assert "Rate exceeded" in answer.body["detail"]
    assert Account.objects.get().status == "pending"
    assert not ScanJob.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("aws_refuses", [False, True])
def test_credentials_replaced_while_aws_is_asked_are_409_and_not_judged_by_the_old_ones(
    caller: Caller,
    fault_proxy: FaultProxy,
    aws_refuses: bool,
) -> None:
    assert connect(caller).status == 200
    path = f"/accounts/{Account.objects.get().pk}"
    Account.objects.update(status="pending")
    ScanJob.objects.all().delete()
    fault_proxy.forget_calls()
    fault_proxy.hang("GetCallerIdentity")
    answers: list[Answer] = []

    def connect_meanwhile() -> None:
        answers.append(connect(caller))
        connection.close()

    connecting = threading.Thread(target=connect_meanwhile)
    connecting.start()
    wait_for(lambda: fault_proxy.counts()["GetCallerIdentity", "us-east-1"], 20, "AWS is asked")
    version = caller.get(path).body["version"]
    role = "arn:aws:iam::123456789012:role/hostmaster"
    assert caller.patch(path, version=version, role_arn=role).status == 200
    fault_proxy.mend()
    if aws_refuses:
        fault_proxy.refuse_credentials()
    connecting.join(60)
    assert answers[0].status == 409
    assert "changed while AWS was asked" in answers[0].body["detail"]
    account = Account.objects.get()
    assert (account.status, account.status_reason, account.role_arn) == ("pending", "", role)
    assert not ScanJob.objects.exists()
