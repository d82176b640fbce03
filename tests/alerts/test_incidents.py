"""The verbs on incidents, and what the database itself refuses."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from alerts import incidents
from alerts.models import Incident, IncidentStatus, Notification, Resolution
from alerts.services import IncidentResolvedError, acknowledge, add_note, resolve
from alerts.tasks import evaluate
from hostmaster.core.state import InvalidTransitionError
from tests.factories import (
    make_channel,
    make_check,
    make_checks,
    make_incident,
    make_monitor,
    make_rule,
    make_user,
)

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def told() -> Incident:
    """An open incident whose rule has a channel that was told."""
    rule = make_rule()
    rule.channels.add(make_channel(tenant=rule.tenant))
    incident = Incident.objects.create(alert_rule=rule, monitor=make_monitor(tenant=rule.tenant))
    assert incidents.adopt(incident, timezone.now())
    return incident


def owed() -> list[str]:
    return list(Notification.objects.order_by("seq").values_list("event", flat=True))


def test_acknowledging_says_who_and_is_told() -> None:
    incident, user = told(), make_user(username="ada")
    acknowledge(incident, user, note="On it.")
    incident.refresh_from_db()
    assert (incident.status, incident.acknowledged_by) == ("acknowledged", user)
    assert incident.acknowledged_at is not None
    line = incident.events.get(kind="acknowledged")
    assert (line.actor, line.note) == ("ada", "On it.")
    assert owed() == ["opened", "acknowledged"]


def test_acknowledging_twice_changes_nothing() -> None:
    incident = told()
    acknowledge(incident, make_user())
    version = incident.version
    acknowledge(incident, make_user())
    assert incident.version == version
    assert owed() == ["opened", "acknowledged"]


def test_a_stale_copy_acknowledges_what_is_there_now() -> None:
    incident = told()
    stale = Incident.objects.get(pk=incident.pk)
    assert incident.update_guarded(note="changed meanwhile")
    acknowledge(stale, make_user())
    assert Incident.objects.get(pk=incident.pk).status == "acknowledged"


def test_what_is_resolved_can_be_neither_acknowledged_nor_resolved() -> None:
    incident = told()
    stale = Incident.objects.get(pk=incident.pk)
    resolve(incident, make_user(username="ada"), note="Cable.")
    for verb in (acknowledge, resolve):
        with pytest.raises(IncidentResolvedError):
            verb(Incident.objects.get(pk=stale.pk), make_user())
    incident.refresh_from_db()
    assert (incident.resolution, incident.note) == (Resolution.BY_PERSON, "Cable.")
    assert incident.events.get(kind="resolved").actor == "ada"
    assert owed() == ["opened", "resolved"]


def test_notes_are_kept_in_the_timeline() -> None:
    incident = told()
    add_note(incident, make_user(username="ada"), "One.")
    add_note(incident, None, "Two.")
    lines = incident.events.filter(kind="noted").values_list("actor", "note")
    assert list(lines) == [("ada", "One."), ("evaluator", "Two.")]
    incident.refresh_from_db()
    assert incident.note == "Two."


def test_a_change_and_what_it_owes_are_one_transaction() -> None:
    incident = told()
    with pytest.raises(InvalidTransitionError), transaction.atomic():
        _acknowledge_and_reopen(incident)
    assert Incident.objects.get(pk=incident.pk).status == "open"
    assert owed() == ["opened"]
    assert list(incident.events.values_list("kind", flat=True)) == ["adopted"]


def _acknowledge_and_reopen(incident: Incident) -> None:
    acknowledge(incident, make_user())
    incident.advance(IncidentStatus.OPEN)


def test_keeping_back_what_was_not_told_is_noted_once() -> None:
    incident = told()
    assert incidents.keep_back(incident, "Silenced.")
    assert not incidents.keep_back(incident, "Silenced.")
    assert incident.events.get(kind="suppressed").note == "Silenced."


@pytest.mark.parametrize("with_monitor", [True, False])
def test_the_database_refuses_a_second_open_incident(with_monitor: bool) -> None:
    rule = make_rule()
    about: dict[str, Any] = {"subject": "budget:1"}
    if with_monitor:
        about = {"monitor": make_monitor(tenant=rule.tenant)}
    first = make_incident(alert_rule=rule, **about)
    with pytest.raises(IntegrityError), transaction.atomic():
        make_incident(alert_rule=rule, **about)
    resolve(first, None)
    make_incident(alert_rule=rule, **about)


@pytest.mark.parametrize(
    ("make", "fields"), [(make_incident, {"status": "closed"}), (make_rule, {"kind": "x"})]
)
def test_the_database_refuses_unknown_words(
    make: Callable[..., object], fields: dict[str, str]
) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        make(**fields)


def _at_once(count: int, verb: Callable[[], object]) -> None:
    """Run `verb` in so many threads with connections of their own, started together."""
    barrier, errors = threading.Barrier(count), []

    def run() -> None:
        try:
            barrier.wait(10)
            verb()
        except Exception as error:  # noqa: BLE001 shown by the assertion below
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors


@pytest.mark.django_db(transaction=True)
def test_evaluators_at_once_open_one_incident_each() -> None:
    rule = make_rule(threshold=1)
    rule.channels.add(make_channel(tenant=rule.tenant))
    monitors = [make_monitor(tenant=rule.tenant) for _ in range(20)]
    for monitor in monitors:
        make_checks(monitor, False)
    keys = ",".join(str(monitor.pk) for monitor in monitors)
    _at_once(4, lambda: evaluate("monitors.Monitor", keys))
    assert Incident.objects.count() == 20
    assert owed() == ["opened"] * 20

    for monitor in monitors:
        make_check(monitor=monitor)
    _at_once(4, lambda: evaluate("monitors.Monitor", keys))
    assert Incident.objects.filter(status="resolved").count() == 20
    assert sorted(owed()) == ["opened"] * 20 + ["resolved"] * 20


@pytest.mark.django_db(transaction=True)
def test_whole_evaluations_at_once_tell_everything_once() -> None:
    rule = make_rule(threshold=1)
    rule.channels.add(make_channel(tenant=rule.tenant))
    make_checks(make_monitor(tenant=rule.tenant), False)
    Incident.objects.create(alert_rule=rule, monitor=make_monitor(tenant=rule.tenant))
    _at_once(4, evaluate)
    assert Incident.objects.count() == 2
    assert owed() == ["opened"] * 2


@pytest.mark.django_db(transaction=True)
def test_two_people_acknowledge_and_one_is_told() -> None:
    incident = told()
    pk = incident.pk
    _at_once(4, lambda: acknowledge(Incident.objects.get(pk=pk), None))
    assert owed() == ["opened", "acknowledged"]
