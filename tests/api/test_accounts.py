"""AWS accounts over the API, without AWS; proving access is in test_connect."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.utils import timezone

from hostmaster.core.tenants.models import Role
from scans.aws.accounts import open_keys
from scans.models import Account, ScanJob
from tests.api.caller import Caller
from tests.factories import make_account, make_instance, make_recommendation, make_scan_job

pytestmark = pytest.mark.django_db

ROLE = "arn:aws:iam::123456789012:role/hostmaster"
KEYS = {
    "access_key_id": "AKIAPLANTEDCANARY001",
    "secret_access_key": "planted-canary-secret",
    "session_token": "planted-canary-token",
}


@pytest.fixture
def caller() -> Caller:
    return Caller(role=Role.ADMIN)


def test_an_account_by_role_is_pending_and_shows_its_external_id(caller: Caller) -> None:
    made = caller.post("/accounts", name="Production", role_arn=ROLE, regions=["eu-west-1"])
    assert made.status == 201
    account = Account.objects.get()
    assert account.tenant == caller.tenant
    assert made.body == caller.get(f"/accounts/{account.pk}").body
    assert made.body["id"] == str(account.pk)
    assert (made.body["status"], made.body["auth"]) == ("pending", "role")
    assert made.body["external_id"] == account.external_id
    assert made.body["regions"] == ["eu-west-1"]


def test_keys_are_sealed_and_never_answered(caller: Caller) -> None:
    made = caller.post("/accounts", name="Production", **KEYS)
    assert (made.status, made.body["auth"]) == (201, "keys")
    account = Account.objects.get()
    assert open_keys(account).secret_access_key == KEYS["secret_access_key"]
    shown = json.dumps([made.body, caller.get("/accounts").body])
    assert not [value for value in (*KEYS.values(), "sealed") if value in shown]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["body.name"]),
        ({"name": ""}, ["body.name"]),
        ({"name": "  ", "role_arn": ROLE}, ["body.name"]),
        ({"name": "x" * 101, "role_arn": ROLE}, ["body.name"]),
        ({"name": "a"}, ["body.role_arn"]),
        ({"name": "a", "role_arn": "role/x"}, ["body.role_arn"]),
        ({"name": "a", "role_arn": ROLE, **KEYS}, ["body.role_arn"]),
        ({"name": "a", "access_key_id": "AKIA1234"}, ["body.secret_access_key"]),
        (
            {"name": "a", "access_key_id": "no key", "secret_access_key": "x"},
            ["body.access_key_id"],
        ),
        ({"name": "a", "role_arn": ROLE, "regions": ["mars"]}, ["body.regions.0"]),
        ({"name": "a", "role_arn": ROLE, "status": "active"}, ["body.status"]),
        ({"name": "a", "role_arn": ROLE, "tenant": "x"}, ["body.tenant"]),
        ({"name": "a", "role_arn": 7}, ["body.role_arn"]),
    ],
)
def test_a_wrong_field_is_named(caller: Caller, body: dict[str, Any], fields: list[str]) -> None:
    assert caller.post("/accounts", **body).fields == fields
    assert not Account.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        {"name": "a", **KEYS, "access_key_id": {"nested": KEYS["secret_access_key"]}},
        {"name": "a", **KEYS, "secret_access_key": [KEYS["secret_access_key"]]},
        {"name": "a", **KEYS, "session_token": KEYS["session_token"] * 1000},
        {"name": 7, **KEYS},
        {"name": "a", **KEYS, "role_arn": KEYS["secret_access_key"]},
        {"name": "a", **KEYS, "regions": [KEYS["secret_access_key"]]},
        {"name": "a", **KEYS, "access_key_id": KEYS["secret_access_key"] + " !"},
    ],
)
def test_a_refusal_never_repeats_a_secret(caller: Caller, body: dict[str, Any]) -> None:
    answer = caller.post("/accounts", **body)
    assert answer.status == 422
    assert "planted" not in json.dumps(answer.body)


def test_a_name_is_taken_once_a_tenant(caller: Caller) -> None:
    caller.post("/accounts", name="Production", role_arn=ROLE)
    assert caller.post("/accounts", name="Production", role_arn=ROLE).fields == ["body.name"]
    assert Caller(role=Role.ADMIN).post("/accounts", name="Production", role_arn=ROLE).status == 201


def test_the_list_is_ones_own_by_name_and_filtered(caller: Caller) -> None:
    make_account(name="of another tenant")
    for name, status in (("b", "active"), ("a", "failed"), ("c", "pending")):
        make_account(tenant=caller.tenant, name=name, status=status)
    assert [item["name"] for item in caller.items("/accounts")] == ["a", "b", "c"]
    assert [item["name"] for item in caller.items("/accounts", status="active")] == ["b"]
    assert caller.get("/accounts", status="broken").fields == ["query.status"]
    page = caller.get("/accounts", limit=2).body
    assert (len(page["items"]), page["next_offset"]) == (2, 2)


def test_a_change_needs_the_version_that_was_read(caller: Caller) -> None:
    account = make_account(tenant=caller.tenant, name="old")
    path = f"/accounts/{account.pk}"
    version = caller.get(path).body["version"]
    changed = caller.patch(path, version=version, name="new", regions=["eu-west-1"])
    assert changed.status == 200
    assert (changed.body["name"], changed.body["regions"]) == ("new", ["eu-west-1"])
    assert changed.body["version"] == version + 1
    late = caller.patch(path, version=version, name="newer")
    assert late.status == 409
    assert "read it again" in late.body["detail"]
    assert caller.patch(path, name="newer").fields == ["body.version"]
    account.refresh_from_db()
    assert account.name == "new"


def test_new_credentials_replace_the_old_ones(caller: Caller) -> None:
    made = caller.post("/accounts", name="Production", **KEYS).body
    path = f"/accounts/{made['id']}"
    by_role = caller.patch(path, version=1, role_arn=ROLE).body
    assert (by_role["auth"], by_role["role_arn"]) == ("role", ROLE)
    assert Account.objects.get().credentials_sealed is None
    by_keys = caller.patch(path, version=2, **KEYS).body
    assert (by_keys["auth"], by_keys["role_arn"]) == ("keys", "")
    assert open_keys(Account.objects.get()).access_key_id == KEYS["access_key_id"]
    both = caller.patch(path, version=3, role_arn=ROLE, **KEYS)
    assert both.fields == ["body.role_arn"]


def test_an_operator_connects_accounts_and_an_administrator_forgets_them(caller: Caller) -> None:
    operator = Caller(caller.tenant, Role.OPERATOR)
    made = operator.post("/accounts", name="Production", role_arn=ROLE)
    path = f"/accounts/{made.body['id']}"
    assert (made.status, operator.patch(path, version=1, **KEYS).status) == (201, 200)
    assert Account.objects.get().credentials_sealed
    assert operator.delete(path).status == 403


def test_a_name_cannot_be_changed_to_a_taken_one(caller: Caller) -> None:
    make_account(tenant=caller.tenant, name="taken")
    account = make_account(tenant=caller.tenant)
    answer = caller.patch(f"/accounts/{account.pk}", version=1, name="taken")
    assert answer.fields == ["body.name"]


def test_an_administrator_forgets_an_account_with_all_that_was_found(caller: Caller) -> None:
    account = make_account(tenant=caller.tenant)
    make_instance(account=account)
    make_recommendation(account=account)
    make_scan_job(account=account, state="COMPLETED", finished_at=timezone.now())
    path = f"/accounts/{account.pk}"
    assert Caller(caller.tenant, Role.OPERATOR).delete(path).status == 403
    assert (caller.delete(path).status, Account.objects.count()) == (204, 0)
    assert not ScanJob.objects.exists()
    assert caller.delete(path).status == 404


def test_an_account_is_not_forgotten_while_it_is_scanned(caller: Caller) -> None:
    account = make_account(tenant=caller.tenant)
    make_scan_job(account=account)
    refused = caller.delete(f"/accounts/{account.pk}")
    assert (refused.status, Account.objects.count()) == (409, 1)
    assert "wait for its end" in refused.body["detail"]


def test_rediscovery_is_asked_for_once(caller: Caller) -> None:
    account = make_account(tenant=caller.tenant)
    first = caller.post(f"/accounts/{account.pk}/rediscover")
    assert (first.status, first.body["kind"], first.body["state"]) == (202, "discovery", "QUEUED")
    again = caller.post(f"/accounts/{account.pk}/rediscover")
    assert again.body["id"] == first.body["id"]
    assert ScanJob.objects.get().requested_by == "token CI"
