"""The pages of rules, channels, incidents, silences and notifications."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from alerts.incidents import open_incidents
from alerts.models import (
    AlertChannel,
    AlertRule,
    DeliveryAttempt,
    Incident,
    IncidentEvent,
    Notification,
    NotificationState,
    Silence,
)
from alerts.outbox import enqueue
from alerts.services import add_channel
from hostmaster.core import crypto
from hostmaster.core.jobs.models import JobEvent
from tests.admin.conftest import Cost
from tests.admin.test_jobs import messages_of, text_of
from tests.alerts.receiver import Answer, Receiver
from tests.factories import (
    make_account,
    make_channel,
    make_incident,
    make_monitor,
    make_rule,
    make_tenant,
)

pytestmark = pytest.mark.django_db

CANARY = "canary-destination-5f1c"
SECRET = "whsec_" + "Y2FuYXJ5LXNlY3JldC0wMTIzNDU2Nzg5YWJjZGVm"
PAGES = ("alertrule", "alertchannel", "incident", "silence", "notification")


def list_of(model: str) -> str:
    return f"/admin/alerts/{model}/"


def page_of(row: Any, verb: str = "change") -> str:
    return f"{list_of(row._meta.model_name)}{row.pk}/{verb}/"


def make_silence(**overrides: Any) -> Silence:
    fields = {
        "tenant": overrides.get("tenant") or make_tenant(),
        "reason": "Moving house",
        "until": timezone.now() + timedelta(hours=1),
    }
    return Silence.objects.create(**{**fields, **overrides})


def make_told_incident(**rule: Any) -> Incident:
    """Opened as the evaluator does, so it owes its channel a message."""
    monitor = make_monitor(name="Shop")
    channel = make_channel(tenant=monitor.tenant, name="On call")
    rule_row = make_rule(monitor=monitor, name="Shop is down", channels=[channel], **rule)
    wanted = Incident(
        tenant=monitor.tenant,
        alert_rule=rule_row,
        monitor=monitor,
        subject=f"monitor:{monitor.pk}",
        title="Shop is down",
        severity="critical",
        trigger_value="3 checks failed in a row.",
    )
    (incident,) = open_incidents([wanted], timezone.now())
    return incident


# Lists


@pytest.mark.parametrize("model", PAGES)
def test_lists_cost_the_same_however_long(query_count: Cost, model: str) -> None:
    def add() -> None:
        make_told_incident()
        make_silence()

    add()
    before = query_count(list_of(model))
    for _ in range(5):
        add()
    assert query_count(list_of(model)) == before


@pytest.mark.parametrize("model", PAGES)
def test_empty_lists_say_what_to_do(operator: Client, model: str) -> None:
    assert 'class="empty"' in operator.get(list_of(model)).content.decode()


# Channels


@pytest.mark.both_databases
def test_channel_is_added_and_its_secret_shown_once(operator: Client) -> None:
    form = {
        "tenant": str(make_tenant().pk),
        "name": "On call",
        "type": "webhook",
        "enabled": "on",
        "url": f"https://hooks.example/{CANARY}",
    }

    page = operator.post(f"{list_of('alertchannel')}add/", form)

    channel = AlertChannel.objects.get()
    secret = page.context["secret"]
    assert channel.config == {"url": form["url"], "secret": secret}
    assert (channel.enabled, channel.is_grouped) == (True, False)
    for path in (page_of(channel), page_of(channel, "edit"), list_of("alertchannel")):
        shown = operator.get(path).content.decode()
        assert "https://hooks.example/…" in shown
        assert CANARY not in shown
        assert secret not in shown


def test_channel_of_addresses_shows_them_masked(operator: Client) -> None:
    form = {
        "tenant": str(make_tenant().pk),
        "name": "Team",
        "type": "email",
        "enabled": "on",
        "to": "anna.canary@example.com\nbert@example.com",
    }

    operator.post(f"{list_of('alertchannel')}add/", form)

    channel = AlertChannel.objects.get()
    assert channel.config["to"] == ["anna.canary@example.com", "bert@example.com"]
    text = text_of(operator.get(page_of(channel)))
    assert "a…@example.com, b…@example.com" in text
    assert "anna.canary" not in text


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"type": "webhook"}, "needs a"),
        ({"type": "webhook", "url": "http://10.0.0.1/x"}, "not allowed"),
        ({"type": "slack", "url": f"https://u:{CANARY}@hooks.example/"}, "user name or password"),
        ({"type": "email", "to": "nobody"}, "is not an e-mail address"),
    ],
)
def test_wrong_destination_is_refused_in_words(
    operator: Client, form: dict[str, str], sentence: str
) -> None:
    tenant = make_tenant()
    page = operator.post(
        f"{list_of('alertchannel')}add/", {"tenant": str(tenant.pk), "name": "x", **form}
    )

    assert sentence in text_of(page)
    assert CANARY not in page.content.decode()
    assert not AlertChannel.objects.exists()


def test_editing_a_channel_keeps_what_is_not_entered(operator: Client) -> None:
    url = f"https://hooks.example/{CANARY}"
    channel = make_channel(config={"url": url, "secret": SECRET})

    operator.post(page_of(channel, "edit"), {"version": "1", "name": "Renamed", "enabled": "on"})
    channel = AlertChannel.objects.get()
    assert (channel.name, channel.config) == ("Renamed", {"url": url, "secret": SECRET})

    entered = {"version": "2", "name": "Renamed", "url": "https://elsewhere.example/"}
    operator.post(page_of(channel, "edit"), entered)
    channel = AlertChannel.objects.get()
    assert channel.config == {"url": "https://elsewhere.example/", "secret": SECRET}
    assert not channel.enabled

    page = operator.post(page_of(channel, "edit"), {"version": "2", "name": "Late"})
    assert "Somebody else changed this meanwhile" in text_of(page)
    assert AlertChannel.objects.get().name == "Renamed"


def test_test_shows_what_came_of_it(operator: Client, receiver: Receiver) -> None:
    url = receiver.url(f"/{CANARY}")
    channel = add_channel(make_tenant(), name="On call", type="webhook", config={"url": url})

    answer = operator.post(page_of(channel, "test"))

    assert messages_of(answer)[0].startswith("Delivered in ")
    assert "status 200. It said: ok" in messages_of(answer)[0]
    assert receiver.received[0].event == "channel.test"
    receiver.answer = Answer(status=503, body=b"busy")
    answer = operator.post(page_of(channel, "test"))
    assert "Not delivered after" in messages_of(answer)[-1]
    assert "status 503" in messages_of(answer)[-1]
    page = operator.get(page_of(channel))
    assert "✗ Failed 503" in text_of(page)
    assert CANARY not in page.content.decode()


def test_too_many_tests_are_refused_in_words(operator: Client, receiver: Receiver) -> None:
    channel = add_channel(
        make_tenant(), name="On call", type="webhook", config={"url": receiver.url()}
    )
    for _ in range(5):
        operator.post(page_of(channel, "test"))

    assert "five times" in messages_of(operator.post(page_of(channel, "test")))[-1]
    assert len(receiver.received) == 5


def test_rotating_asks_and_shows_the_new_secret_once(operator: Client) -> None:
    channel = make_channel(config={"url": "https://hooks.example/x", "secret": SECRET})

    assert "for 24 hours" in text_of(operator.get(page_of(channel, "rotate-secret")))
    assert AlertChannel.objects.get().config["secret"] == SECRET
    page = operator.post(page_of(channel, "rotate-secret"), {"confirmed": "yes"})

    config = AlertChannel.objects.get().config
    assert page.context["secret"] == config["secret"] != SECRET
    assert config["previous_secret"] == SECRET
    shown = operator.get(page_of(channel)).content.decode()
    assert config["secret"] not in shown
    assert "signed with the new and the previous secret" in shown


def test_channel_whose_key_is_gone_still_has_a_page(operator: Client) -> None:
    channel = make_channel()
    AlertChannel.objects.update(config_sealed="v1:gone")

    assert "cannot be read" in text_of(operator.get(page_of(channel)))
    assert operator.get(list_of("alertchannel")).status_code == 200


# Rules


@pytest.mark.both_databases
def test_rule_is_added_with_its_channels(operator: Client) -> None:
    monitor = make_monitor(name="Shop")
    channel = make_channel(tenant=monitor.tenant)
    form = {
        "tenant": str(monitor.tenant.pk),
        "name": "Shop is down",
        "kind": "down",
        "enabled": "on",
        "severity": "warning",
        "threshold": "5",
        "params": '{"repeat_minutes": 60}',
        "monitor": "Shop",
        "channels": [str(channel.pk)],
    }

    answer = operator.post(f"{list_of('alertrule')}add/", form)

    rule = AlertRule.objects.get(name="Shop is down")
    assert answer.headers["Location"] == page_of(rule)
    assert (rule.threshold, rule.monitor, rule.params) == (5, monitor, {"repeat_minutes": 60})
    assert list(rule.channels.all()) == [channel]
    assert "5 failed checks in a row" in text_of(operator.get(page_of(rule)))
    assert "Its own threshold" in text_of(operator.get(f"{list_of('alertrule')}add/"))


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"threshold": "2.5"}, "must be a whole number"),
        ({"params": '{"loud": true}'}, "knows no parameter"),
        ({"monitor": "nobody"}, "There is no monitor"),
        ({"kind": "url_verdict"}, "Select a valid choice"),
        ({"kind": "dead_letter", "monitor": "Shop"}, "is about no monitor"),
    ],
)
def test_rule_nobody_can_judge_is_refused(
    operator: Client, form: dict[str, str], sentence: str
) -> None:
    tenant = make_tenant()
    make_monitor(tenant=tenant, name="Shop")
    there = AlertRule.objects.count()
    sent = {"tenant": str(tenant.pk), "name": "x", "kind": "down", "severity": "warning", **form}

    page = operator.post(f"{list_of('alertrule')}add/", sent)

    assert sentence in text_of(page)
    assert AlertRule.objects.count() == there


def test_rule_is_edited_guarded_and_switched(operator: Client) -> None:
    rule = make_rule(name="Down")
    stranger = make_channel()
    assert str(stranger.pk) not in operator.get(page_of(rule, "edit")).content.decode()

    form = {"version": "1", "name": "Down", "severity": "critical", "enabled": "on"}
    operator.post(page_of(rule, "edit"), {**form, "threshold": "7"})
    rule.refresh_from_db()
    assert (rule.threshold, rule.version) == (7, 2)
    assert "Somebody else changed" in text_of(operator.post(page_of(rule, "edit"), form))
    assert "not judged any more" in messages_of(operator.post(page_of(rule, "disable")))[-1]
    rule.refresh_from_db()
    assert not rule.enabled
    operator.post(page_of(rule, "enable"))
    rule.refresh_from_db()
    assert rule.enabled


def test_rule_without_a_channel_says_how_to_be_told(operator: Client) -> None:
    rule = make_rule()

    page = operator.get(page_of(rule))
    assert "opens incidents and tells nobody" in text_of(page)
    assert "/admin/alerts/alertchannel/add/" in page.content.decode()
    assert "! nobody" in text_of(operator.get(list_of("alertrule")))
    make_channel(tenant=rule.tenant)
    assert "Edit it and choose a channel." in text_of(operator.get(page_of(rule)))


def test_rule_that_only_sql_can_write_still_has_a_page(operator: Client) -> None:
    rule = make_rule(kind="url_verdict", name="Of later", params=[])

    assert "✗ Cannot be judged" in text_of(operator.get(list_of("alertrule")))
    assert "cannot be judged yet" in text_of(operator.get(page_of(rule)))
    assert operator.get(page_of(rule, "edit")).status_code == 200


def test_rule_about_an_account_is_offered_its_tenants_accounts(operator: Client) -> None:
    rule = make_rule(kind="cost_budget")
    own, other = make_account(tenant=rule.tenant), make_account()

    edit = operator.get(page_of(rule, "edit")).content.decode()

    assert str(own.pk) in edit
    assert str(other.pk) not in edit


# Incidents


@pytest.mark.both_databases
def test_incident_is_acknowledged_noted_and_resolved_by_name(operator: Client) -> None:
    incident = make_told_incident()

    assert (
        "1 incident acknowledged" in messages_of(operator.post(page_of(incident, "acknowledge")))[0]
    )
    assert "Add note: Shop is down" in text_of(operator.get(page_of(incident, "note")))
    operator.post(page_of(incident, "note"), {"confirmed": "yes", "note": "Disk is full."})
    assert "opens anew" in text_of(operator.get(page_of(incident, "resolve")))
    operator.post(page_of(incident, "resolve"), {"confirmed": "yes", "note": "Disk is empty."})

    incident.refresh_from_db()
    assert incident.is_resolved
    lines = IncidentEvent.objects.filter(actor="anna").values_list("kind", "note")
    assert list(lines) == [
        ("acknowledged", ""),
        ("noted", "Disk is full."),
        ("resolved", "Resolved by a person. Disk is empty."),
    ]
    text = text_of(operator.get(page_of(incident)))
    assert "✓ Resolved 3 checks failed in a row." in text
    assert "Disk is full." in text
    answer = operator.post(page_of(incident, "acknowledge"))
    assert "1 resolved before" in messages_of(answer)[-1]


def test_a_note_must_say_something(operator: Client) -> None:
    incident = make_incident()

    page = operator.post(page_of(incident, "note"), {"confirmed": "yes", "note": " "})

    assert "This field is required." in text_of(page)
    assert not incident.events.exists()


def test_incident_shows_each_try_and_each_reason(operator: Client) -> None:
    incident = make_told_incident()
    notification = Notification.objects.get()
    DeliveryAttempt.objects.create(
        tenant=notification.tenant,
        channel=notification.channel,
        notification=notification,
        ms=31,
        status_code=503,
        error_class="status",
        error="The receiver answered 503.",
        reply="busy",
    )
    quiet = make_channel(tenant=incident.tenant, name="Quiet", enabled=False)
    incident.alert_rule.channels.set([quiet])
    enqueue(incident, "acknowledged")

    text = text_of(operator.get(page_of(incident)))

    assert "Opened, by On call" in text
    assert "✗ Failed 503 31 ms The receiver answered 503. busy" in text
    assert "by Quiet The channel is switched off." in text


def test_silencing_from_the_incident_names_what_it_is_about(operator: Client) -> None:
    incident = make_told_incident()
    text = text_of(operator.get(page_of(incident, "silence")))
    assert "the monitor “Shop”, by whatever rule" in text

    form = {"confirmed": "yes", "scope": "monitor", "minutes": "240", "reason": "Known."}
    answer = operator.post(page_of(incident, "silence"), form)

    made = Silence.objects.get()
    assert (made.monitor, made.rule, made.reason) == (incident.monitor, None, "Known.")
    assert made.created_by is not None
    assert made.created_by.username == "anna"
    assert timedelta(hours=3) < made.until - timezone.now() <= timedelta(hours=4)
    assert "Silent until" in messages_of(answer)[0]


def test_suppressed_incident_says_why_and_links_the_parent(operator: Client) -> None:
    parent = make_incident(title="Router is down")
    make_incident(
        title="Shop is down",
        suppress_reason="Router, which it depends on, is down.",
        suppressed_by=parent,
    )
    child = Incident.objects.get(title="Shop is down")

    page = operator.get(page_of(child))

    assert "Nobody is told: Router, which it depends on, is down." in text_of(page)
    assert page_of(parent) in page.content.decode()
    assert "nobody: Router" in text_of(operator.get(list_of("incident")))


def test_incident_of_another_program_has_a_page_before_it_is_adopted(operator: Client) -> None:
    incident = Incident.objects.create(alert_rule=make_rule(name="Down"), status="open")

    assert "the evaluator takes it over" in text_of(operator.get(page_of(incident)))
    assert operator.get(list_of("incident"), {"status": "unresolved"}).status_code == 200


def test_selection_of_incidents_is_acknowledged_and_resolved(operator: Client) -> None:
    incidents = [make_incident(), make_incident()]
    chosen = [incident.pk for incident in incidents]

    for action in ("acknowledge_selected", "resolve_selected"):
        operator.post(list_of("incident"), {"action": action, "_selected_action": chosen})

    assert not Incident.objects.unresolved().exists()
    assert IncidentEvent.objects.filter(kind="acknowledged", actor="anna").count() == 2


# Silences


@pytest.mark.both_databases
def test_silence_is_added_and_ended(operator: Client) -> None:
    monitor = make_monitor(name="Shop")
    form = {
        "tenant": str(monitor.tenant.pk),
        "reason": "Moving house",
        "minutes": "60",
        "monitor": "Shop",
        "tags": "eu",
    }

    operator.post(f"{list_of('silence')}add/", form)

    made = Silence.objects.get()
    assert (made.monitor, made.tags) == (monitor, ["eu"])
    assert "► Active" in text_of(operator.get(list_of("silence"), {"active": "yes"}))
    assert (
        "is over: what still is open is told"
        in messages_of(operator.post(page_of(made, "end")))[-1]
    )
    made.refresh_from_db()
    assert not made.is_active(timezone.now())
    assert "It was over already." in messages_of(operator.post(page_of(made, "end")))[-1]


def test_rules_to_silence_are_told_apart_by_their_tenants(operator: Client) -> None:
    """Each tenant has a rule of the same name from the beginning."""
    first, second = make_rule(name="Dead letters"), make_rule(name="Dead letters")

    form = text_of(operator.get(f"{list_of('silence')}add/"))

    for rule in (first, second):
        assert f"Dead letters ({rule.tenant})" in form


@pytest.mark.parametrize("config", [{"to": "anna.canary@example.com"}, {"to": [7]}, [], "x"])
def test_channel_that_another_program_configured_has_a_page(operator: Client, config: Any) -> None:
    channel = make_channel(type="email", config={"to": ["anna.canary@example.com"]})
    context = crypto.context_for(channel, "config_sealed")
    sealed = crypto.seal(json.dumps(config), context=context)
    AlertChannel.objects.update(config_sealed=sealed)

    for page in (page_of(channel), list_of("alertchannel")):
        answer = operator.get(page)
        assert answer.status_code == 200
        assert "n…@" not in text_of(answer), "letter by letter"


def test_silence_link_of_a_monitor_fills_the_form(operator: Client) -> None:
    monitor = make_monitor(name="Shop")
    page = operator.get(f"/admin/monitors/monitor/{monitor.pk}/change/").content.decode()
    query = f"tenant={monitor.tenant.pk}&amp;monitor={monitor.pk}"
    assert f"/admin/alerts/silence/add/?{query}" in page

    form = operator.get(f"{list_of('silence')}add/?{query.replace('&amp;', '&')}").content.decode()

    assert f'value="{monitor.pk}"' in form
    assert f'<option value="{monitor.tenant.pk}" selected>' in form


# Notifications


@pytest.mark.both_databases
def test_dead_notification_is_retried_and_a_sent_one_replayed(operator: Client) -> None:
    make_told_incident()
    row = Notification.objects.get()
    Notification.objects.update(state=NotificationState.FAILED, attempts=5)
    assert "Opened: Shop is down" in text_of(
        operator.get(list_of("notification"), {"state": "dead"})
    )

    assert "1 notification revived" in messages_of(operator.post(page_of(row, "retry")))[0]
    row.refresh_from_db()
    assert (row.state, row.attempts) == (NotificationState.PENDING, 0)
    answer = operator.post(page_of(row, "replay"))
    assert "1 still to be delivered" in messages_of(answer)[-1]
    Notification.objects.update(state=NotificationState.SENT)
    answer = operator.post(page_of(row, "replay"))
    assert "1 notification to be sent once more: Opened: Shop is down" in messages_of(answer)[-1]
    row.refresh_from_db()
    assert (row.state, row.is_replay) == (NotificationState.PENDING, True)
    assert JobEvent.objects.filter(object_id=str(row.pk), actor="user anna").count() == 2


def test_cancelling_a_notification_asks_first(operator: Client) -> None:
    make_told_incident()
    row = Notification.objects.get()

    assert "Opened: Shop is down" in text_of(operator.get(page_of(row, "cancel")))
    assert Notification.objects.get().is_open
    operator.post(page_of(row, "cancel"), {"confirmed": "yes"})

    assert Notification.objects.get().state == NotificationState.CANCELLED


def test_suppressed_notification_shows_why_in_list_and_page(operator: Client) -> None:
    make_told_incident()
    row = Notification.objects.get()
    Notification.objects.update(state=NotificationState.SUPPRESSED, suppress_reason="Silenced.")

    assert "– Suppressed Silenced." in text_of(operator.get(list_of("notification")))
    assert "Not sent: Silenced." in text_of(operator.get(page_of(row)))


# Who may


@pytest.mark.both_databases
def test_who_may_only_look_presses_no_button(looker: Client) -> None:
    incident = make_told_incident()
    row, channel, rule = Notification.objects.get(), AlertChannel.objects.get(), incident.alert_rule
    buttons = {
        incident: ("acknowledge", "resolve", "note", "silence"),
        row: ("retry", "replay", "cancel"),
        channel: ("test", "edit", "rotate-secret", "remove"),
        rule: ("edit", "disable", "enable", "remove"),
        make_silence(): ("end",),
    }

    for shown, verbs in buttons.items():
        page = looker.get(page_of(shown))
        assert page.status_code == 200
        for verb in verbs:
            assert page_of(shown, verb) not in page.content.decode()
            sent = {
                "confirmed": "yes",
                "note": "x",
                "reason": "x",
                "scope": "both",
                "minutes": "60",
            }
            assert looker.post(page_of(shown, verb), sent).status_code == 403, verb
    for model in ("alertchannel", "alertrule", "silence"):
        assert looker.post(f"{list_of(model)}add/", {"name": "x"}).status_code == 403
    assert not DeliveryAttempt.objects.exists()
    assert Incident.objects.get().status == "open"


def test_who_may_change_but_not_delete_is_not_offered_to(looker: Client) -> None:
    user = User.objects.get(pk=looker.session["_auth_user_id"])
    user.user_permissions.add(Permission.objects.get(codename="change_alertchannel"))
    channel = make_channel()

    page = looker.get(page_of(channel)).content.decode()

    assert page_of(channel, "edit") in page
    assert page_of(channel, "remove") not in page
    assert looker.post(page_of(channel, "remove"), {"confirmed": "yes"}).status_code == 403
    assert AlertChannel.objects.exists()
