"""Scans over the API: three forms of the request, and what one may do to a scan."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from hostmaster.core.jobs import engine
from hostmaster.core.jobs.models import JobEvent
from scans.aws.accounts import open_keys
from scans.models import ScanJob, ScanUnit
from scans.services import request_scan_with_credentials
from tests.api.caller import Caller
from tests.factories import make_account, make_scan_job

pytestmark = pytest.mark.django_db

KEYS = {"access_key_id": "AKIAPLANTEDCANARY001", "secret_access_key": "planted-canary-secret"}


@pytest.fixture
def caller() -> Caller:
    return Caller()


def own_scan(caller: Caller, **fields: Any) -> ScanJob:
    account = fields.pop("account", None) or make_account(tenant=caller.tenant)
    if fields.get("state") in {"COMPLETED", "FAILED", "TIMED_OUT", "CANCELLED"}:
        fields["finished_at"] = timezone.now()
    return make_scan_job(account=account, **fields)


def test_a_scan_of_an_account_is_asked_for_once_while_it_is_open(caller: Caller) -> None:
    account = make_account(tenant=caller.tenant)
    asked = caller.post("/scans", kind="aws", account=account.pk)
    assert asked.status == 202
    job = ScanJob.objects.get()
    assert (asked.body["id"], asked.body["state"]) == (str(job.pk), "QUEUED")
    assert asked.body["account"] == str(account.pk)
    assert asked.body["links"] == {
        "self": f"/api/v1/scans/{job.pk}",
        "account": f"/api/v1/accounts/{account.pk}",
        "retry": None,
        "cancel": f"/api/v1/scans/{job.pk}/cancel",
    }
    assert job.requested_by == "token CI"
    assert caller.post("/scans", kind="aws", account=account.pk).body["id"] == str(job.pk)
    assert caller.post("/scans", account=account.pk).body["id"] == str(job.pk), "aws by default"
    other = caller.post("/scans", kind="discovery", account=account.pk, regions=["eu-west-1"])
    assert (other.body["kind"], other.body["regions"]) == ("discovery", ["eu-west-1"])
    assert ScanJob.objects.count() == 2


def test_a_scan_of_a_page_is_asked_for_once_while_it_is_open(caller: Caller) -> None:
    asked = caller.post("/scans", kind="url", url="https://example.com/a")
    assert (asked.status, asked.body["url"]) == (202, "https://example.com/a")
    assert asked.body["account"] is None
    again = caller.post("/scans", kind="url", url="https://example.com/a")
    assert again.body["id"] == asked.body["id"]
    # Another tenant's scan of the same page is another scan.
    other = Caller().post("/scans", kind="url", url="https://example.com/a")
    assert other.body["id"] != asked.body["id"]


def test_a_scan_with_credentials_seals_them_and_shows_none(caller: Caller) -> None:
    asked = caller.post("/scans", kind="aws", credentials=KEYS, regions=["eu-west-1"])
    assert asked.status == 202
    job = ScanJob.objects.get()
    assert open_keys(job).secret_access_key == KEYS["secret_access_key"]
    assert job.credentials_expire_at is not None
    assert job.tenant == caller.tenant
    assert (job.regions, job.account) == (["eu-west-1"], None)
    shown = json.dumps([asked.body, caller.get(f"/scans/{job.pk}").body, caller.get("/scans").body])
    assert not [value for value in (*KEYS.values(), "sealed") if value in shown]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["body.account"]),
        ({"kind": "aws"}, ["body.account"]),
        ({"kind": "url"}, ["body.url"]),
        ({"url": "https://example.com/"}, ["body.kind"]),
        ({"kind": "url", "url": "ftp://example.com/"}, ["body.url"]),
        ({"kind": "url", "url": "https://"}, ["body.url"]),
        ({"kind": "url", "url": "https://a", "account": "x"}, ["body.account"]),
        ({"kind": "everything", "account": "x"}, ["body.kind", "body.account"]),
        ({"account": "not an id"}, ["body.account"]),
        ({"credentials": {}}, ["body.credentials.access_key_id"]),
        ({"credentials": {"access_key_id": "AKIA1234"}}, ["body.credentials.secret_access_key"]),
        ({"credentials": "AKIA"}, ["body.credentials"]),
        ({"credentials": KEYS | {"password": "x"}}, ["body.credentials.password"]),
        ({"credentials": KEYS, "regions": ["mars"]}, ["body.regions.0"]),
        ({"credentials": KEYS, "account": "x"}, ["body.account"]),
        ({"credentials": KEYS, "kind": "discovery"}, ["body.kind"]),
    ],
)
def test_a_wrong_field_is_named_as_it_was_sent(
    caller: Caller, body: dict[str, Any], fields: list[str]
) -> None:
    answer = caller.post("/scans", **body)
    assert sorted(answer.fields) == sorted(fields)
    assert "planted" not in json.dumps(answer.body)
    assert not ScanJob.objects.exists()


@pytest.mark.parametrize("body", [[], 7, None, "text"])
def test_a_body_that_is_no_object_is_422(caller: Caller, body: object) -> None:
    assert caller.send("POST", "/scans", body).fields == ["body"]


def test_the_list_is_ones_own_latest_first_and_filtered(caller: Caller) -> None:
    make_scan_job()
    old = own_scan(caller, state="FAILED", created_at=timezone.now() - timedelta(days=2))
    new = own_scan(caller, kind="discovery")

    def found(**query: Any) -> list[str]:
        return [item["id"] for item in caller.items("/scans", **query)]

    assert found() == [str(new.pk), str(old.pk)]
    assert found(state="FAILED") == [str(old.pk)]
    assert found(kind="discovery") == [str(new.pk)]
    assert found(account=old.account_id) == [str(old.pk)]
    yesterday = (timezone.now() - timedelta(days=1)).isoformat()
    assert found(created_from=yesterday) == [str(new.pk)]
    assert found(created_before=yesterday) == [str(old.pk)]
    assert caller.get("/scans", state="done").fields == ["query.state"]
    assert caller.get("/scans", created_from="2026-01-01T00:00:00").fields == ["query.created_from"]


@pytest.mark.both_databases
@pytest.mark.parametrize("offset", ["+00:00", "+16:25", "-23:59"])
def test_an_instant_may_have_any_offset(caller: Caller, offset: str) -> None:
    answer = caller.get("/scans", created_from=f"2026-01-01T00:00:00{offset}")
    assert answer.status == 200, answer


def test_the_detail_holds_the_errors_and_what_aws_did_not_show(caller: Caller) -> None:
    entry = {
        "at": timezone.now().isoformat(),
        "attempt": 1,
        "type": "NothingScannedError",
        "message": "Not one call of this scan succeeded.",
        "retryable": True,
    }
    job = own_scan(caller, state="FAILED", errors=[entry])
    ScanUnit.objects.create(
        job=job,
        service="ec2",
        region="eu-west-1",
        call="DescribeInstances",
        outcome="denied",
        missing_action="ec2:DescribeInstances",
    )
    shown = caller.get(f"/scans/{job.pk}").body
    assert [error["type"] for error in shown["errors"]] == ["NothingScannedError"]
    assert [(unit["outcome"], unit["missing_action"]) for unit in shown["coverage"]] == [
        ("denied", "ec2:DescribeInstances")
    ]
    assert "coverage" not in caller.items("/scans")[0]


def test_the_list_asks_the_database_as_often_for_many_as_for_one(
    caller: Caller, django_assert_max_num_queries: Any
) -> None:
    for _ in range(5):
        own_scan(caller)
    with django_assert_max_num_queries(4):
        assert len(caller.items("/scans")) == 5


@pytest.mark.parametrize("state", ["FAILED", "TIMED_OUT"])
def test_a_dead_scan_is_retried_with_all_its_attempts(caller: Caller, state: str) -> None:
    job = own_scan(caller, state=state, attempts=3)
    retried = caller.post(f"/scans/{job.pk}/retry")
    assert (retried.status, retried.body["state"], retried.body["attempts"]) == (202, "QUEUED", 0)
    event = JobEvent.objects.get(object_id=str(job.pk))
    assert (event.from_state, event.actor) == (state, "token CI")


@pytest.mark.parametrize("state", ["QUEUED", "FETCHING", "ANALYZING", "COMPLETED", "CANCELLED"])
def test_only_a_dead_scan_is_retried(caller: Caller, state: str) -> None:
    job = own_scan(caller, state=state)
    refused = caller.post(f"/scans/{job.pk}/retry")
    assert refused.status == 409
    assert "Only a scan that failed or timed out" in refused.body["detail"]
    job.refresh_from_db()
    assert job.state == state


def test_a_scan_with_an_open_twin_is_not_retried(caller: Caller) -> None:
    job = own_scan(caller, state="FAILED")
    make_scan_job(account=job.account)
    assert caller.post(f"/scans/{job.pk}/retry").status == 409


def test_a_scan_whose_credentials_are_gone_says_to_ask_anew(caller: Caller) -> None:
    job = request_scan_with_credentials(caller.tenant, credentials=KEYS)
    for _ in range(3):
        engine.claim(job, early=True)
        engine.fail(job, RuntimeError("broken"))
    assert job.state == "FAILED"
    refused = caller.post(f"/scans/{job.pk}/retry")
    assert (refused.status, "request a new scan" in refused.body["detail"]) == (409, True)
    shells = own_scan(caller, state="FAILED", uses_shell_login=True)
    refused = caller.post(f"/scans/{shells.pk}/retry")
    assert (refused.status, "--current-credentials" in refused.body["detail"]) == (409, True)


@pytest.mark.parametrize("is_running", [False, True])
def test_an_open_scan_is_cancelled_and_taken_from_its_worker(
    caller: Caller, is_running: bool
) -> None:
    job = own_scan(caller)
    if is_running:
        assert engine.claim(job)
    cancelled = caller.post(f"/scans/{job.pk}/cancel")
    assert (cancelled.status, cancelled.body["state"]) == (200, "CANCELLED")
    if is_running:
        assert not job.update_guarded(progress_done=1), "its worker learns it by its next write"
    again = caller.post(f"/scans/{job.pk}/cancel")
    assert again.status == 409
    assert "is over: cancelled" in again.body["detail"]


def test_what_is_not_json_is_400(caller: Caller) -> None:
    assert caller.send_text("POST", "/scans", '{"kind": "aws", ').status == 400
