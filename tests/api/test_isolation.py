"""One tenant never meets another's rows: every route of the document, new ones included.

A route that this file knows nothing about fails it: say below where its ids come from.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.utils import timezone

from alerts.models import Notification
from alerts.services import silence
from hostmaster.api import api
from hostmaster.core.tenants.models import Role, Tenant
from monitors.services import add_maintenance
from scans.aws.rule_settings import set_rule
from scans.models import Account
from tests.api.caller import BASE, Answer, Caller
from tests.factories import (
    make_account,
    make_anomaly,
    make_breach,
    make_budget,
    make_channel,
    make_check,
    make_cost,
    make_incident,
    make_instance,
    make_monitor,
    make_recommendation,
    make_resource,
    make_rule,
    make_scan_job,
    make_tenant,
)

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

SCHEMA: dict[str, Any] = api.get_openapi_schema(path_prefix=f"{BASE}/")
SECRET_NAME = "only the owner reads this"


@dataclass
class Owner:
    """A tenant with one row of everything."""

    tenant: Tenant = field(default_factory=make_tenant)

    def __post_init__(self) -> None:
        self.account: Account = make_account(
            tenant=self.tenant, name=SECRET_NAME, aws_account_id="999988887777"
        )
        self.scan = make_scan_job(
            account=self.account, state="FAILED", requested_by=SECRET_NAME, summary={"a": 1}
        )
        self.recommendation = make_recommendation(account=self.account, title=SECRET_NAME)
        self.rule_setting = set_rule(self.tenant, rule="nat.idle", account=self.account)
        self.budget = make_budget(tenant=self.tenant, name=SECRET_NAME)
        make_breach(budget=self.budget)
        make_cost(account=self.account, service=SECRET_NAME)
        make_anomaly(account=self.account, service=SECRET_NAME)
        make_instance(account=self.account, name=SECRET_NAME)
        make_resource(account=self.account, name=SECRET_NAME)
        self.monitor = make_monitor(tenant=self.tenant, name=SECRET_NAME)
        make_check(monitor=self.monitor, error_message=SECRET_NAME)
        self.window = add_maintenance(
            self.tenant,
            name=SECRET_NAME,
            starts_at=timezone.now(),
            duration=timedelta(hours=1),
            monitors=[self.monitor],
        )
        self.channel = make_channel(tenant=self.tenant, name=SECRET_NAME)
        self.alert_rule = make_rule(tenant=self.tenant, name=SECRET_NAME, monitor=self.monitor)
        self.incident = make_incident(
            tenant=self.tenant,
            monitor=self.monitor,
            alert_rule=self.alert_rule,
            title=SECRET_NAME,
        )
        self.notification = Notification.objects.create(
            tenant=self.tenant,
            incident=self.incident,
            channel=self.channel,
            seq=1,
            event="opened",
            state=Notification.State.FAILED,
            payload={"title": SECRET_NAME},
        )
        self.silence = silence(
            self.tenant, reason=SECRET_NAME, until=timezone.now() + timedelta(hours=1)
        )


# What stands in for a `{…_id}` of a path.
ID_OF: dict[str, Callable[[Owner], UUID | int]] = {
    "account_id": lambda owner: owner.account.pk,
    "scan_id": lambda owner: owner.scan.pk,
    "recommendation_id": lambda owner: owner.recommendation.pk,
    "budget_id": lambda owner: owner.budget.pk,
    "setting_id": lambda owner: owner.rule_setting.pk,
    "monitor_id": lambda owner: owner.monitor.pk,
    "window_id": lambda owner: owner.window.pk,
    "channel_id": lambda owner: owner.channel.pk,
    "rule_id": lambda owner: owner.alert_rule.pk,
    "incident_id": lambda owner: owner.incident.pk,
    "notification_id": lambda owner: owner.notification.pk,
    "silence_id": lambda owner: owner.silence.pk,
}
# Bodies that name a row, by the field that does; `None`: these name none.
ROW_IN_BODY: dict[tuple[str, str], Callable[[Owner], dict[str, Any]] | None] = {
    ("post", "/api/v1/accounts"): None,
    ("post", "/api/v1/scans"): lambda owner: {"kind": "aws", "account": str(owner.account.pk)},
    ("post", "/api/v1/budgets"): lambda owner: {
        "name": "a",
        "limit_usd": "1.00",
        "account": str(owner.account.pk),
    },
    ("post", "/api/v1/monitors"): lambda owner: {
        "name": "a",
        "url": "https://a.example.com",
        "depends_on": [str(owner.monitor.pk)],
    },
    ("post", "/api/v1/maintenance-windows"): lambda owner: {
        "name": "a",
        "starts_at": "2026-11-29T01:00:00Z",
        "monitors": [str(owner.monitor.pk)],
    },
    ("post", "/api/v1/alert-channels"): None,
    ("post", "/api/v1/alert-rules"): lambda owner: {
        "name": "a",
        "kind": "down",
        "channels": [str(owner.channel.pk)],
    },
    ("post", "/api/v1/silences"): lambda owner: {
        "reason": "a",
        "until": "2999-01-01T00:00:00Z",
        "rule": str(owner.alert_rule.pk),
    },
    ("put", "/api/v1/rule-settings"): lambda owner: {
        "rule": "nat.idle",
        "account": str(owner.account.pk),
    },
}
# Reading without an id: lists, whose items are one's own, and what is about the caller alone or the
# same for all.
ABOUT_THE_CALLER = {"/api/v1/whoami", "/api/v1/rules"}
HAS_DEFAULTS = {"/api/v1/alert-rules"}  # of which each tenant has some of its own

OPERATIONS = [
    (method, path, operation)
    for path, operations in SCHEMA["paths"].items()
    for method, operation in operations.items()
]
WITH_ID = [each for each in OPERATIONS if "{" in each[1]]
WITHOUT_ID = [each for each in OPERATIONS if "{" not in each[1]]


def named(operation: tuple[str, str, Any]) -> str:
    return f"{operation[0].upper()} {operation[1]}"


@pytest.fixture
def owner() -> Owner:
    return Owner()


def ids_in(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def filled(path: str, owner: Owner) -> str:
    for name in ids_in(path):
        assert name in ID_OF, f"{path}: add {name} to ID_OF"
        path = path.replace(f"{{{name}}}", str(ID_OF[name](owner)))
    return path


def example_body(operation: dict[str, Any]) -> dict[str, Any]:
    """A body that the schema accepts: a refusal must not come before the question whose it is."""
    if "requestBody" not in operation:
        return {}
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    model = SCHEMA["components"]["schemas"][reference.rpartition("/")[2]]
    assert "examples" in model, f"{reference}: give the schema an example"
    example: dict[str, Any] = model["examples"][0]
    return example


@pytest.mark.parametrize("operation", WITH_ID, ids=named)
def test_a_strangers_id_is_404_like_one_that_does_not_exist(
    operation: tuple[str, str, dict[str, Any]], owner: Owner
) -> None:
    method, path, details = operation
    # The highest role, so that 403 hides nothing.
    stranger = Caller(role=Role.ADMIN)
    body = example_body(details)
    theirs = stranger.send(method.upper(), filled(path, owner).removeprefix(BASE), body)
    assert theirs.status == 404, theirs
    nobodys = path
    for name in ids_in(path):
        nobodys = nobodys.replace(f"{{{name}}}", str(uuid4()))
    absent = stranger.send(method.upper(), nobodys.removeprefix(BASE), body)
    assert absent == theirs
    assert Account.objects.get() == owner.account, "and nothing happened to the row"
    # The same request by the owner is not 404: it was the tenant that decided.
    mine = Caller(owner.tenant, Role.ADMIN)
    if not path.endswith("/connect"):  # would go to AWS; test_connect does that
        answer = mine.send(method.upper(), filled(path, owner).removeprefix(BASE), body)
        assert answer.status in {200, 201, 202, 204, 409}, answer


@pytest.mark.parametrize("operation", WITHOUT_ID, ids=named)
def test_without_an_id_nothing_of_a_stranger_is_read_or_named(
    operation: tuple[str, str, dict[str, Any]], owner: Owner
) -> None:
    method, path, _ = operation
    stranger = Caller(role=Role.ADMIN)
    if method == "get":
        answer = stranger.get(path.removeprefix(BASE))
        assert answer.status == 200
        assert SECRET_NAME not in json.dumps(answer.body)
        if path not in ABOUT_THE_CALLER:
            mine = Caller(owner.tenant).get(path.removeprefix(BASE))
            assert_only_the_owner_sees(answer, mine, path)
        return
    assert (method, path) in ROW_IN_BODY, f"{method} {path}: add it to ROW_IN_BODY"
    body_naming_a_row = ROW_IN_BODY[method, path]
    if body_naming_a_row is not None:
        answer = stranger.send(method.upper(), path.removeprefix(BASE), body_naming_a_row(owner))
        assert answer.status == 404, answer


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (path, parameter["name"])
        for _, path, operation in WITHOUT_ID
        for parameter in operation.get("parameters", [])
        if '"uuid"' in json.dumps(parameter)
    ],
)
def test_a_filter_by_a_strangers_id_finds_nothing(path: str, name: str, owner: Owner) -> None:
    known = {
        "account": owner.account.pk,
        "budget": owner.budget.pk,
        "monitor": owner.monitor.pk,
        "channel": owner.channel.pk,
        "alert_rule": owner.alert_rule.pk,
        "incident": owner.incident.pk,
    }
    assert name in known, f"{path}: say here which row {name} means"
    theirs, mine = (
        caller.get(path.removeprefix(BASE), **{name: known[name]})
        for caller in (Caller(), Caller(owner.tenant))
    )
    assert_only_the_owner_sees(theirs, mine, path)


def assert_only_the_owner_sees(theirs: Answer, mine: Answer, path: str) -> None:
    """A list is empty for a stranger; whatever else it is, the owner's name is in his alone."""
    assert (theirs.status, mine.status) == (200, 200)
    assert SECRET_NAME not in json.dumps(theirs.body)
    if isinstance(theirs.body, dict) and "items" in theirs.body:
        if path in HAS_DEFAULTS:
            assert all(item not in mine.body["items"] for item in theirs.body["items"])
        else:
            assert theirs.body["items"] == []
        assert mine.body["items"], f"{path}: let Owner have a row of this"
    else:
        assert SECRET_NAME in json.dumps(mine.body), f"{path}: let Owner have a row of this"


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Bearer hm_0123456789abcdef_wrong"}, {"Authorization": "hm"}]
)
def test_without_a_valid_token_it_is_401(
    operation: tuple[str, str, dict[str, Any]], header: dict[str, str], owner: Owner
) -> None:
    method, path, details = operation
    body = json.dumps(example_body(details)) if ids_in(path) else "{}"
    answer = Client(headers=header).generic(
        method.upper(), filled(path, owner), body, content_type="application/json"
    )
    assert answer.status_code == 401
    assert SECRET_NAME.encode() not in answer.content


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each[0] != "get"], ids=named)
def test_a_viewer_changes_nothing(operation: tuple[str, str, dict[str, Any]], owner: Owner) -> None:
    method, path, _ = operation
    viewer = Caller(owner.tenant, Role.VIEWER)
    answer = viewer.send(method.upper(), filled(path, owner).removeprefix(BASE), {})
    assert answer.status == 403


def test_an_id_is_never_anothers_even_for_a_row_named_by_its_number(owner: Owner) -> None:
    stranger = Caller()
    found = stranger.items("/accounts", aws_account_id=owner.account.aws_account_id)
    assert found == []
