"""Of one incident and channel nothing is told before what came before it."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from django.utils import timezone

from alerts.models import Incident, Notification
from alerts.outbox import enqueue
from hostmaster.core.clock import DatabaseNow
from tests.alerts.outbox.sending import (
    come_due,
    deliver,
    make_told_incident,
    make_webhook,
    pass_time,
    states,
)
from tests.alerts.receiver import Answer, Received, Receiver

# What outlasts a short turn is settled by its own thread, on its own connection.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
State = Notification.State


def test_the_end_waits_for_the_beginning(receiver: Receiver) -> None:
    receiver.answer = Answer(500)
    incident = make_told_incident(make_webhook(receiver))
    (opened,) = enqueue(incident, "opened")
    (resolved,) = enqueue(incident, "resolved")
    deliver()
    deliver()
    assert receiver.events == ["opened"]
    receiver.answer = Answer(200)
    pass_time(seconds=7)
    deliver()
    assert receiver.events == ["opened", "opened", "resolved"]
    assert states(opened, resolved) == [State.SENT, State.SENT]


def test_a_beginning_that_was_never_told_is_told_with_the_end(receiver: Receiver) -> None:
    receiver.answer = Answer(500)
    incident = make_told_incident(make_webhook(receiver), title="shop: Down")
    (opened,) = enqueue(incident, "opened")
    deliver()
    incident.resolved_at = timezone.now()
    (reminder,) = enqueue(incident, "reminder")
    (resolved,) = enqueue(incident, "resolved")
    pass_time(minutes=3)
    receiver.answer = Answer(200)
    deliver()
    last = receiver.received[-1]
    assert receiver.events == ["opened", "resolved"]
    assert last.message_id == f"msg_{resolved.pk}"
    assert "shop: Down – lasted" in last.json["data"]["summary"]
    assert states(opened, reminder, resolved) == [State.SENT] * 3
    opened.refresh_from_db()
    assert opened.digest_id == resolved.pk


def test_a_beginning_given_up_does_not_hold_the_end(receiver: Receiver) -> None:
    receiver.answer = Answer(404)
    incident = make_told_incident(make_webhook(receiver))
    (opened,) = enqueue(incident, "opened")
    deliver()
    pass_time(seconds=7)
    deliver()
    assert states(opened) == [State.FAILED]
    receiver.answer = Answer(200)
    (resolved,) = enqueue(incident, "resolved")
    deliver()
    assert states(resolved) == [State.SENT]


@pytest.mark.parametrize("is_grouped", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_no_schedule_tells_the_end_before_the_beginning(
    receiver: Receiver, seed: int, is_grouped: bool
) -> None:
    """Random failures, crashes and hours; what is looked at is what the receiver took."""
    dice = random.Random(seed)
    receiver.answer = lambda _: Answer(dice.choice([200, 200, 500, 503]))
    channel = make_webhook(receiver, is_grouped=is_grouped)
    incidents = [make_told_incident(channel) for _ in range(25)]
    to_come = {incident.pk: ["opened", "reminder", "resolved"] for incident in incidents}
    for _ in range(40):
        for incident in dice.sample(incidents, 6):
            if to_come[incident.pk]:
                event = to_come[incident.pk].pop(0)
                if event == "resolved":
                    incident.resolved_at = timezone.now()
                enqueue(incident, event)
        deliver(0.3)
        pass_time(seconds=dice.choice([1, 5, 40, 200]))
        sent = Notification.objects.filter(state=State.SENT, digest=None)
        lost = dice.choice([None, None, None, None, sent.order_by("?").first()])
        if lost is not None:
            unsettle(lost)
    assert_in_order(receiver.received, incidents)


def test_nothing_is_lost_by_any_schedule(receiver: Receiver) -> None:
    dice = random.Random(1)
    failures: Counter[str] = Counter()

    def answer(request: Received) -> Answer:
        status = dice.choice([200, 429, 500])
        failures[request.message_id] += status == 500
        # Ten in a row would be a dead letter: with luck like that of one row in a thousand.
        return Answer(status if failures[request.message_id] < 6 else 200)

    receiver.answer = answer
    channel = make_webhook(receiver)
    rows = [enqueue(make_told_incident(channel), "opened")[0] for _ in range(30)]
    for _ in range(200):
        deliver(0.5)
        if states(*rows) == [State.SENT] * 30:
            break
        come_due()
        pass_time(minutes=20)
    told = {r.message_id for r in receiver.received}
    assert told == {f"msg_{row.pk}" for row in rows}
    assert states(*rows) == [State.SENT] * 30


def unsettle(row: Notification) -> None:
    """As if its worker had died before it wrote down that the message went out."""
    Notification.objects.filter(pk=row.pk).update(
        state=State.SENDING, lease_until=DatabaseNow(), finished_at=None
    )
    row.folded.update(state=State.PENDING, finished_at=None)


def assert_in_order(received: list[Received], incidents: list[Incident]) -> None:
    """First sights only: a repeat of "opened" under its own id tells nothing new."""
    first: dict[tuple[str, str], int] = {}
    for number, request in enumerate(received):
        data = request.json["data"]
        told = data.get("incidents", [data])
        for one in told:
            first.setdefault((one["incident_id"], one["event"]), number)
    order = ["opened", "reminder", "resolved"]
    for incident in incidents:
        seen = [first[str(incident.pk), e] for e in order if (str(incident.pk), e) in first]
        assert seen == sorted(seen)
