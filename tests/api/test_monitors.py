"""Monitors through the API: what may be said of them, and what they say."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from monitors.models import Monitor, MonitorRun
from tests.api.caller import Caller
from tests.factories import make_check, make_monitor

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

URL = "https://shop.example.com/health"


@pytest.fixture
def caller() -> Caller:
    return Caller()


def test_a_monitor_is_made_read_changed_and_forgotten(caller: Caller) -> None:
    made = caller.post("/monitors", name="Shop", url=URL, tags=["eu"]).body
    path = f"/monitors/{made['id']}"
    assert (made["status"], made["push_token"], made["next_check_at"] is None) == (
        "unknown",
        "",
        False,
    )
    changed = caller.patch(path, version=made["version"], interval_seconds=60)
    assert (changed.status, changed.body["interval_seconds"]) == (200, 60)
    assert changed.body["tags"] == ["eu"], "what was not named stays"
    assert caller.patch(path, version=made["version"], interval_seconds=90).status == 409
    assert caller.delete(path).status == 204
    assert caller.get(path).status == 404


def test_headers_are_sealed_and_never_shown_again(caller: Caller) -> None:
    secret = "Bearer do-not-show-me"
    made = caller.post("/monitors", name="Shop", url=URL, headers={"Authorization": secret})
    assert made.body["header_names"] == ["Authorization"]
    path = f"/monitors/{made.body['id']}"
    shown = json.dumps([made.body, caller.get(path).body, caller.get("/monitors").body])
    assert "do-not-show-me" not in shown
    changed = caller.patch(path, version=made.body["version"], headers={})
    assert changed.body["header_names"] == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "ftp://shop.example.com"),
        ("url", "https://user:password@shop.example.com"),
        ("interval_seconds", 0),
        ("timeout_seconds", 301),
        ("expected_status", "all"),
        ("assertions", [{"source": "json", "op": "=="}]),
        ("headers", {"Two\nLines": "a"}),
        ("retries", 21),
        ("min_tls_version", "1.4"),
    ],
)
def test_what_cannot_be_checked_is_refused_by_its_field(
    caller: Caller, field: str, value: Any
) -> None:
    answer = caller.post("/monitors", **{"name": "Shop", "url": URL, field: value})
    assert {name.split(".")[1] for name in answer.fields} == {field}
    assert not Monitor.objects.exists()


def test_an_external_id_names_one_monitor(caller: Caller) -> None:
    body = {"name": "Shop", "url": URL, "external_id": "shop"}
    made = caller.post("/monitors", **body)
    assert (made.status, caller.post("/monitors", **body).status) == (201, 409)
    same = {"version": made.body["version"], "external_id": "shop", "name": "The shop"}
    assert caller.patch(f"/monitors/{made.body['id']}", **same).status == 200
    assert Caller().post("/monitors", **body).status == 201


def test_a_list_is_narrowed(caller: Caller) -> None:
    make_monitor(tenant=caller.tenant, name="Shop", tags=["eu", "pay"])
    make_monitor(tenant=caller.tenant, name="Blog", tags=["us"], url="https://blog.example.com")
    for query, names in (
        ({"tag": "pay"}, ["Shop"]),
        ({"tag": "p"}, []),
        ({"search": "BLOG.example"}, ["Blog"]),
        ({"status": "down"}, []),
        ({}, ["Blog", "Shop"]),
    ):
        assert [item["name"] for item in caller.items("/monitors", **query)] == names


def test_pause_resume_and_check_now(caller: Caller) -> None:
    path = f"/monitors/{caller.post('/monitors', name='Shop', url=URL).body['id']}"
    assert caller.post(f"{path}/pause").body["status"] == "paused"
    assert caller.post(f"{path}/check").status == 409
    assert caller.post(f"{path}/resume").body["status"] == "unknown"
    MonitorRun.objects.update(next_check_at=timezone.now() + timedelta(hours=1))
    assert caller.post(f"{path}/check").status == 202
    assert MonitorRun.objects.due().exists()


def test_checks_and_figures_are_told(caller: Caller) -> None:
    monitor = make_monitor(tenant=caller.tenant)
    make_check(monitor=monitor, success=False, error_message="No answer")
    make_check(monitor=monitor, success=True)
    path = f"/monitors/{monitor.pk}"
    (failed,) = caller.items(f"{path}/checks", success="false")
    assert failed["error_message"] == "No answer"
    figures = caller.get(f"{path}/figures").body
    assert figures["uptime"] is None, "the sweep has judged nothing yet"
    assert figures["unknown_seconds"] > 0
    assert caller.get(f"{path}/rollups", period="1d").body["items"] == []


def test_a_push_monitor_is_called_by_its_token(caller: Caller) -> None:
    made = caller.post("/monitors", name="Backup", kind="push").body
    called = Client().get(f"/api/v1/heartbeats/{made['push_token']}")
    assert (called.status_code, called.json()) == (200, {"ok": True, "status": "up"})
    path = f"/monitors/{made['id']}"
    renewed = caller.post(f"{path}/push-token").body["push_token"]
    assert Client().post(f"/api/v1/heartbeats/{made['push_token']}").status_code == 404
    assert Client().post(f"/api/v1/heartbeats/{renewed}").status_code == 200
    assert renewed not in json.dumps(caller.get(path).body)
    other = make_monitor(tenant=caller.tenant)
    assert caller.post(f"/monitors/{other.pk}/push-token").status == 409


def test_a_window_with_a_rule_that_means_nothing_is_refused(caller: Caller) -> None:
    window = {"name": "Sunday", "starts_at": "2026-11-29T01:00:00Z", "is_for_all": True}
    assert caller.post("/maintenance-windows", **window, rrule="EVERY=DAY").fields == ["body.rrule"]
    nowhere = caller.post("/maintenance-windows", **window, timezone="Mars/Olympus")
    assert nowhere.fields == ["body.timezone"]
    made = caller.post("/maintenance-windows", **window, rrule="FREQ=WEEKLY;BYDAY=SU")
    assert (made.status, made.body["duration_minutes"]) == (201, 60)
    assert caller.delete(f"/maintenance-windows/{made.body['id']}").status == 204


def test_headers_whose_key_is_lost_hide_no_monitor(caller: Caller, settings: Any) -> None:
    made = caller.post("/monitors", name="Shop", url=URL, headers={"X-Token": "t0ken"}).body
    settings.ENCRYPTION_KEY = "5a" * 32
    listed = caller.get("/monitors")
    assert (listed.status, listed.body["items"][0]["header_names"]) == (200, [])
    assert caller.get(f"/monitors/{made['id']}").status == 200
