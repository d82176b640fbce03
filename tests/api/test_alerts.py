"""Rules, channels, incidents, silences and notifications through the API."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from alerts.models import Incident, Notification
from tests.api.caller import Caller
from tests.factories import make_channel, make_incident, make_monitor, make_rule

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

WEBHOOK = "https://hooks.example.com/very-secret-path"


@pytest.fixture
def caller() -> Caller:
    return Caller()


def test_a_channel_shows_its_secret_once_and_its_address_never(caller: Caller) -> None:
    made = caller.post("/alert-channels", name="On call", type="webhook", config={"url": WEBHOOK})
    assert made.status == 201
    assert made.body["secret"].startswith("whsec_")
    path = f"/alert-channels/{made.body['id']}"
    rotated = caller.post(f"{path}/rotate-secret").body["secret"]
    assert rotated != made.body["secret"]
    shown = json.dumps([caller.get(path).body, caller.get("/alert-channels").body])
    assert "very-secret-path" not in shown + json.dumps(made.body)
    assert "whsec_" not in shown
    assert caller.get(path).body["hint"], "it can still be told from others"


@pytest.mark.parametrize(
    "body",
    [
        {"type": "webhook", "config": {}},
        {"type": "webhook", "config": {"url": "gopher://a"}},
        {"type": "email", "config": {"to": "nobody"}},
        {"type": "slack", "config": {"url": WEBHOOK, "secret": "a"}},
    ],
)
def test_a_channel_that_could_not_send_is_refused(caller: Caller, body: dict[str, object]) -> None:
    assert caller.post("/alert-channels", name="On call", **body).fields == ["body.config"]


def test_a_name_is_taken_once(caller: Caller) -> None:
    make_channel(tenant=caller.tenant, name="On call")
    answer = caller.post("/alert-channels", name="On call", type="slack", config={"url": WEBHOOK})
    assert (answer.status, answer.body["detail"]) == (
        409,
        "There is a channel 'On call' already.",
    )


def test_testing_a_channel_tells_what_came_of_it(caller: Caller, settings: Settings) -> None:
    settings.HOSTMASTER_ALLOWED_NETWORKS = ["127.0.0.1/32"]
    channel = caller.post(
        "/alert-channels", name="a", type="webhook", config={"url": "http://127.0.0.1:9/"}
    ).body
    path = f"/alert-channels/{channel['id']}/test"
    tried = caller.post(path)
    assert (tried.status, tried.body["ok"], tried.body["status"]) == (200, False, None)
    assert tried.body["error"]
    assert [caller.post(path).status for _ in range(5)] == [200] * 4 + [429]


def test_a_rule_is_made_changed_and_forgotten(caller: Caller) -> None:
    channel = make_channel(tenant=caller.tenant)
    made = caller.post("/alert-rules", name="Down", kind="down", channels=[str(channel.pk)])
    assert (made.status, made.body["threshold"], made.body["channels"]) == (
        201,
        None,
        [str(channel.pk)],
    )
    path = f"/alert-rules/{made.body['id']}"
    changed = caller.patch(path, version=made.body["version"], threshold=5, channels=[])
    assert (changed.body["threshold"], changed.body["channels"]) == (5, [])
    assert caller.patch(path, version=made.body["version"], threshold=6).status == 409
    assert caller.delete(path).status == 204


def test_a_rule_nobody_can_judge_is_refused_by_its_field(caller: Caller) -> None:
    rule = {"name": "a", "kind": "down"}
    assert caller.post("/alert-rules", **rule, threshold=0.5).fields == ["body.threshold"]
    assert caller.post("/alert-rules", **rule, params={"colour": 1}).fields == ["body.params"]
    later = caller.post("/alert-rules", name="a", kind="url_verdict")
    assert later.fields == ["body.kind"]


def test_an_incident_is_acknowledged_noted_and_resolved(caller: Caller) -> None:
    monitor = make_monitor(tenant=caller.tenant)
    rule = make_rule(tenant=caller.tenant, monitor=monitor)
    incident = make_incident(tenant=caller.tenant, monitor=monitor, alert_rule=rule)
    path = f"/incidents/{incident.pk}"
    assert caller.post(f"{path}/acknowledge", note="Mine.").body["status"] == "acknowledged"
    assert caller.post(f"{path}/notes", note="Looking.").status == 201
    assert caller.post(f"{path}/resolve").body["resolution"] == "by_person"
    assert caller.post(f"{path}/resolve").status == 409
    assert caller.post(f"{path}/acknowledge").status == 409
    lines = caller.items(f"{path}/events")
    assert [line["kind"] for line in lines][-3:] == ["acknowledged", "noted", "resolved"]
    assert {line["actor"] for line in lines[-3:]} == {"token CI"}
    assert caller.items("/incidents", status="open") == []


def test_silences_are_listed_and_ended(caller: Caller) -> None:
    until = timezone.now() + timedelta(hours=1)
    made = caller.post("/silences", reason="Moving", until=until).body
    assert [s["id"] for s in caller.items("/silences", active="true")] == [made["id"]]
    assert caller.post(f"/silences/{made['id']}/end").status == 200
    assert caller.post(f"/silences/{made['id']}/end").status == 409
    assert caller.items("/silences", active="true") == []
    past = caller.post("/silences", reason="Late", until=timezone.now() - timedelta(hours=1))
    assert past.fields == ["body.until"]


def test_a_notification_that_failed_is_replayed(caller: Caller) -> None:
    incident = make_incident(tenant=caller.tenant)
    notification = Notification.objects.create(
        tenant=caller.tenant,
        incident=Incident.objects.get(pk=incident.pk),
        channel=make_channel(tenant=caller.tenant),
        state=Notification.State.FAILED,
        seq=1,
        event="opened",
    )
    path = f"/notifications/{notification.pk}"
    assert caller.items("/notifications", state="FAILED")[0]["id"] == str(notification.pk)
    assert caller.get(f"{path}/attempts").body["items"] == []
    assert caller.post(f"{path}/replay").body["state"] == "PENDING"
    assert caller.post(f"{path}/replay").status == 409
