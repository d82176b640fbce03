"""Rules and their settings over the API, and the file of what rules found."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from hostmaster.core.tenants.models import Role
from scans.models import Account, RuleSetting
from tests.api.caller import Caller
from tests.factories import make_account, make_recommendation

pytestmark = pytest.mark.django_db


@pytest.fixture
def caller() -> Caller:
    return Caller()


@pytest.fixture
def account(caller: Caller) -> Account:
    return make_account(tenant=caller.tenant, name="prod")


def rule_of(answer: Any, rule: str) -> dict[str, Any]:
    (found,) = [each for each in answer.body if each["id"] == rule]
    return dict(found)


def test_every_rule_is_told_with_its_parameters(caller: Caller) -> None:
    answer = caller.get("/rules")
    unattached = rule_of(answer, "ebs.unattached")
    assert unattached["params"] == unattached["defaults"] == {"min_age_days": 7}
    assert unattached["enabled"]
    assert not rule_of(answer, "ec2.graviton")["enabled"]


def test_an_account_wants_a_rule_otherwise(caller: Caller, account: Account) -> None:
    body = {"rule": "ebs.unattached", "params": {"min_age_days": 2}}
    assert caller.send("PUT", "/rule-settings", body).status == 200
    own = {**body, "account": str(account.pk), "enabled": False, "params": {}}
    kept = caller.send("PUT", "/rule-settings", own).body
    path = f"/accounts/{account.pk}/rules"
    wanted = rule_of(caller.get(path), "ebs.unattached")
    assert (wanted["enabled"], wanted["params"]) == (False, {"min_age_days": 2})
    assert [row["account"] for row in caller.items("/rule-settings", account=account.pk)] == [
        str(account.pk)
    ]
    assert caller.delete(f"/rule-settings/{kept['id']}").status == 204
    assert rule_of(caller.get(path), "ebs.unattached")["enabled"]
    assert RuleSetting.objects.count() == 1


@pytest.mark.parametrize(
    "body",
    [
        {"rule": "no.such"},
        {"rule": "ebs.unattached", "params": {"min_age_hours": 1}},
        {"rule": "ebs.unattached", "params": {"min_age_days": "many"}},
        {"rule": "ebs.unattached", "params": {"min_age_days": -1}},
        {"rule": "ebs.unattached", "wanted": True},
        {},
    ],
)
def test_what_no_rule_reads_is_422(caller: Caller, body: dict[str, Any]) -> None:
    assert caller.send("PUT", "/rule-settings", body).status == 422
    assert not RuleSetting.objects.exists()


def test_a_viewer_reads_rules_and_sets_none(caller: Caller) -> None:
    viewer = Caller(caller.tenant, Role.VIEWER)
    assert viewer.get("/rules").status == 200
    assert viewer.send("PUT", "/rule-settings", {"rule": "nat.idle"}).status == 403


def test_the_file_holds_what_the_filters_leave(caller: Caller, account: Account) -> None:
    hostile = '=HYPERLINK("http://evil","x")'
    row = make_recommendation(account=account, resource_name=hostile, saving_high_usd=90)
    make_recommendation(account=account, rule="nat.idle")
    make_recommendation()
    text = caller.get("/recommendations/export", rule=row.rule).body
    (found,) = csv.DictReader(io.StringIO(text))
    assert found["account"] == "prod"
    assert found["resource_name"] == f"'{hostile}"
    assert found["saving_high_usd"] == "90.0000"
    (as_json,) = caller.get("/recommendations/export", rule=row.rule, format="json").body
    assert as_json["resource_name"] == hostile
    assert caller.get("/recommendations/export", format="xls").status == 422
