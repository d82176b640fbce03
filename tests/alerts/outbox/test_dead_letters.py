"""Dead notifications where the other dead letters are: page, command, gauges; never the engine."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import call_command

from alerts.models import Notification
from alerts.outbox import enqueue
from hostmaster.core.jobs import engine, sweep
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.jobs.models import JobEvent
from hostmaster.core.metrics import gauges
from hostmaster.site.queue import queue_stats
from tests.alerts.outbox.sending import deliver, make_told_incident, make_webhook, pass_time, states
from tests.alerts.receiver import Answer, Receiver

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
State = Notification.State


@pytest.fixture
def dead(receiver: Receiver) -> Notification:
    receiver.answer = Answer(404)
    (row,) = enqueue(make_told_incident(make_webhook(receiver)), "opened")
    deliver()
    pass_time(seconds=7)
    deliver()
    receiver.answer = Answer(200)
    row.refresh_from_db()
    assert row.is_dead
    return row


def test_the_command_revives_them(dead: Notification) -> None:
    out = StringIO()
    call_command("retry_dead_letters", "--kind", "notification", "--json", stdout=out)
    answer = json.loads(out.getvalue())
    assert (answer["dead"], answer["revived"]) == (1, 1)
    pass_time(seconds=1)
    deliver()
    assert states(dead) == [State.SENT]
    event = JobEvent.objects.get(label="alerts.Notification", object_id=str(dead.pk))
    assert (event.from_state, event.to_state, event.actor) == (
        State.FAILED,
        State.PENDING,
        "retry_dead_letters",
    )
    assert dead.deliveries.count() == 3


def test_page_and_gauges_count_them(dead: Notification) -> None:
    enqueue(dead.incident, "reminder")
    lane = next(stats for stats in queue_stats() if stats.lane == Lane.ALERTS.value)
    assert (lane.dead, lane.waiting, lane.due) == (1, 1, 1)
    assert "alerts.Notification" in lane.models
    assert ({"kind": "notification"}, 1) in list(gauges.dead_letters())


def test_an_empty_outbox_is_no_oldest_job() -> None:
    assert Lane.ALERTS.value not in gauges.oldest_due()


def test_the_engine_leaves_them_to_their_drain(receiver: Receiver) -> None:
    (row,) = enqueue(make_told_incident(make_webhook(receiver)), "opened")
    assert [due for due in sweep.due_rows(Lane.ALERTS) if due.label == "alerts.Notification"] == []
    assert not engine.run_job("alerts.Notification", str(row.pk))
    assert states(row) == [State.PENDING]
    assert not JobEvent.objects.filter(label="alerts.Notification").exists()


def test_a_person_may_cancel_and_hurry_them(receiver: Receiver) -> None:
    receiver.answer = Answer(500)
    incident = make_told_incident(make_webhook(receiver))
    (first,) = enqueue(incident, "opened")
    (second,) = enqueue(incident, "resolved")
    deliver()
    first.refresh_from_db()
    receiver.answer = Answer(200)
    assert first.run_now(actor="ada")
    deliver()
    assert states(first, second) == [State.SENT, State.SENT]
    (third,) = enqueue(incident, "reminder")
    assert third.cancel(actor="ada")
    assert deliver() == 0
    assert states(third) == [State.CANCELLED]
