"""Recommendations and the inventory over the API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from scans.models import Account, Recommendation
from tests.api.caller import Caller
from tests.factories import make_account, make_instance, make_recommendation, make_resource

pytestmark = pytest.mark.django_db


@pytest.fixture
def caller() -> Caller:
    return Caller()


@pytest.fixture
def account(caller: Caller) -> Account:
    return make_account(tenant=caller.tenant)


def test_the_largest_saving_comes_first_and_filters_narrow(
    caller: Caller, account: Account
) -> None:
    make_recommendation()
    small = make_recommendation(account=account, saving_low_usd=1, saving_high_usd=2)
    large = make_recommendation(
        account=account, rule="ebs.gp2", region="us-east-1", saving_high_usd=90, confidence="low"
    )

    def found(**query: Any) -> list[str]:
        return [item["id"] for item in caller.items("/recommendations", **query)]

    assert found() == [str(large.pk), str(small.pk)]
    for query in (
        {"rule": "ebs.gp2"},
        {"region": "us-east-1"},
        {"confidence": "low"},
        {"min_saving_usd": "2.01"},
        {"resource_id": large.resource_id},
    ):
        assert found(**query) == [str(large.pk)], query
    assert found(status="dismissed") == []
    assert found(account=account.pk) == found()
    assert caller.get("/recommendations", min_saving_usd="-1").fields == ["query.min_saving_usd"]


def test_the_detail_shows_the_evidence_and_money_without_rounding(
    caller: Caller, account: Account
) -> None:
    row = make_recommendation(account=account, evidence={"size_gb": 100}, saving_low_usd="4.1234")
    shown = caller.get(f"/recommendations/{row.pk}").body
    assert (shown["evidence"], shown["saving_low_usd"]) == ({"size_gb": 100}, "4.1234")


def test_dismissed_with_a_reason_and_opened_again(caller: Caller, account: Account) -> None:
    row = make_recommendation(account=account)
    path = f"/recommendations/{row.pk}"
    dismissed = caller.post(f"{path}/dismiss", version=row.version, reason="Kept for the audit.")
    assert (dismissed.status, dismissed.body["status"]) == (200, "dismissed")
    assert dismissed.body["dismissed_by"] == "token CI"
    assert dismissed.body["dismissed_reason"] == "Kept for the audit."
    account.refresh_from_db()
    assert account.cache_generation == 1, "totals cached before are over"

    version = dismissed.body["version"]
    assert caller.post(f"{path}/dismiss", version=version).status == 409, "it is dismissed already"
    opened = caller.post(f"{path}/reopen", version=version)
    assert (opened.body["status"], opened.body["dismissed_by"]) == ("open", "")


def test_a_decision_on_what_has_changed_is_refused(caller: Caller, account: Account) -> None:
    row = make_recommendation(account=account)
    row.update_guarded(title="new")
    for verb, body in (("dismiss", {}), ("snooze", {"until": "2099-01-01T00:00:00Z"})):
        late = caller.post(f"/recommendations/{row.pk}/{verb}", version=1, **body)
        assert late.status == 409, verb
        assert "read it again" in late.body["detail"]
    assert Recommendation.objects.get().status == "open"


def test_snoozed_until_an_instant_to_come(caller: Caller, account: Account) -> None:
    row = make_recommendation(account=account)
    path = f"/recommendations/{row.pk}/snooze"
    until = timezone.now() + timedelta(days=7)
    for wrong in (timezone.now(), "2026-01-01T00:00:00", "9999-12-31T23:59:59Z", "soon", None):
        assert caller.post(path, version=row.version, until=wrong).fields == ["body.until"], wrong
    snoozed = caller.post(path, version=row.version, until=until)
    assert (snoozed.status, snoozed.body["status"]) == (200, "snoozed")
    row.refresh_from_db()
    assert row.snoozed_until is not None
    assert abs(row.snoozed_until - until) < timedelta(seconds=1)


def test_what_a_scan_resolved_only_a_scan_opens_again(caller: Caller, account: Account) -> None:
    row = make_recommendation(account=account, status="resolved")
    refused = caller.post(f"/recommendations/{row.pk}/reopen", version=row.version)
    assert (refused.status, "only a scan" in refused.body["detail"]) == (409, True)


def test_the_inventory_lists_what_is_there_or_what_is_gone(
    caller: Caller, account: Account
) -> None:
    make_instance()
    here = make_instance(account=account, monthly_cost_usd="7.5920")
    gone = make_instance(account=account, gone_at=timezone.now(), region="us-east-1")
    shown = caller.items("/instances")
    assert [(item["resource_id"], item["monthly_cost_usd"]) for item in shown] == [
        (here.resource_id, "7.5920")
    ]
    assert [item["id"] for item in caller.items("/instances", gone=True)] == [gone.pk]
    assert caller.items("/instances", region="us-east-1") == []


def test_resources_are_filtered_by_kind(caller: Caller, account: Account) -> None:
    make_resource()
    volume = make_resource(account=account)
    make_resource(account=account, kind="elastic_ip")
    shown = caller.items("/resources", kind="ebs_volume")
    assert [(item["id"], item["spec"]) for item in shown] == [(volume.pk, volume.spec)]
