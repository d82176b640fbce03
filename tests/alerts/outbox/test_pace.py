"""Breakers, servers that ask us to wait, and no more than three messages a minute."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from alerts import claims, delivery, settling
from alerts.breaker import Breaker
from alerts.claims import Claim
from alerts.models import AlertChannel, Incident, Notification
from alerts.outbox import enqueue, enqueue_all
from alerts.transports.base import SEND_SECONDS
from hostmaster.core.clock import DatabaseNow
from tests.alerts.outbox.sending import (
    deliver,
    make_told_incident,
    make_webhook,
    pass_time,
    states,
)
from tests.alerts.receiver import Answer, Receiver

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
State = Notification.State


def suppress(claim: Claim) -> bool:
    return settling.suppress(claim, "A silence.")


def test_a_breaker_opens_at_five_failures_and_doubles_up_to_a_quarter_of_an_hour() -> None:
    breaker = Breaker()
    for _ in range(4):
        breaker = breaker.after_failure(was_probe=False)
        assert not breaker.is_open
    breaker = breaker.after_failure(was_probe=False)
    assert breaker.open_seconds == 30
    assert breaker.after_failure(was_probe=False).open_seconds == 30
    seen = []
    for _ in range(7):
        breaker = breaker.after_failure(was_probe=True)
        seen.append(breaker.open_seconds)
    assert seen == [60, 120, 240, 480, 900, 900, 900]
    assert timedelta(minutes=13) < breaker.pause() < timedelta(minutes=17)


def test_while_the_breaker_is_open_nothing_is_sent_and_no_try_is_spent(receiver: Receiver) -> None:
    receiver.answer = Answer(500)
    channel = make_webhook(receiver)
    rows = [enqueue(make_told_incident(channel), "opened")[0] for _ in range(12)]
    for _ in range(10):
        deliver()
    channel.refresh_from_db()
    assert channel.is_breaker_open
    tried = len(receiver.received)
    assert 5 <= tried <= 8  # those on their way when it opened are not called back
    assert not delivery.has_due()
    assert sum(row.attempts for row in Notification.objects.all()) == tried
    pass_time(seconds=40)
    assert delivery.has_due()
    deliver()
    assert len(receiver.received) == tried + 1  # one asks for all
    assert sum(row.attempts for row in Notification.objects.all()) == tried
    receiver.answer = Answer(200)
    pass_time(seconds=80)
    deliver()
    assert states(*rows) == [State.SENT] * 12
    channel.refresh_from_db()
    assert (channel.failures_in_row, channel.breaker_seconds, channel.last_error) == (0, 0, "")


def test_a_channel_down_for_an_hour_gets_all_of_it_when_it_is_back(receiver: Receiver) -> None:
    receiver.answer = Answer(503)
    down = make_webhook(receiver)
    rows = []
    with Receiver() as other:
        well = make_webhook(other, tenant=down.tenant, name="well")
        for _ in range(60):
            rows += enqueue(make_told_incident(down, well), "opened")
            deliver()
            pass_time(minutes=1)
        assert len(other.received) == 60  # never held up
    receiver.answer = Answer(200)
    before = len(receiver.received)
    pass_time(minutes=17)  # its breaker asks again
    deliver()
    assert set(states(*rows)) == {State.SENT}
    assert len({r.message_id for r in receiver.received[before:]}) == 60
    assert Notification.objects.dead().count() == 0


def test_a_server_that_asks_for_less_is_obeyed_and_loses_nothing(receiver: Receiver) -> None:
    body = b'{"message": "slow down", "retry_after": 7.5}'
    receiver.answer = Answer(429, body, {"Retry-After": "8"})
    channel = make_webhook(receiver)
    rows = [enqueue(make_told_incident(channel), "opened")[0] for _ in range(6)]
    deliver()
    first = len(receiver.received)
    assert first <= 4
    channel.refresh_from_db()
    wait = channel.next_send_at - timezone.now()
    assert timedelta(seconds=6) < wait <= timedelta(seconds=8)
    assert not delivery.has_due()
    for _ in range(30):  # far more often than a table has tries
        pass_time(seconds=12)
        deliver()
    assert set(states(*rows)) == {State.PENDING}
    assert set(Notification.objects.values_list("attempts", flat=True)) == {0}
    receiver.answer = Answer(200)
    pass_time(seconds=12)
    deliver()
    assert states(*rows) == [State.SENT] * 6


def test_no_server_makes_us_wait_for_more_than_an_hour(receiver: Receiver) -> None:
    receiver.answer = Answer(503, b"", {"Retry-After": "86400"})
    (row,) = enqueue(make_told_incident(make_webhook(receiver)), "opened")
    deliver()
    row.refresh_from_db()
    wait = row.run_at - timezone.now()
    assert timedelta(minutes=59) < wait <= timedelta(hours=1)


def test_a_grouped_channel_gets_two_messages_and_one_digest_of_the_rest(receiver: Receiver) -> None:
    channel = make_webhook(receiver, is_grouped=True)
    rows = [enqueue(make_told_incident(channel), "opened")[0] for _ in range(20)]
    deliver()
    assert receiver.events == ["opened", "opened", "digest"] or sorted(receiver.events) == [
        "digest",
        "opened",
        "opened",
    ]
    digest = next(r for r in receiver.received if r.event == "digest").json["data"]
    assert (digest["count"], len(digest["incidents"]), digest["omitted"]) == (18, 18, 0)
    assert states(*rows) == [State.SENT] * 20
    (late,) = enqueue(make_told_incident(channel), "opened")
    assert not delivery.has_due()
    assert deliver() == 0
    pass_time(seconds=61)
    deliver()
    assert states(late) == [State.SENT]


@pytest.mark.parametrize("leave", [settling.hand_back, suppress])
def test_what_was_not_sent_after_all_uses_up_nothing_of_the_minute(
    receiver: Receiver, leave: Callable[[Claim], bool]
) -> None:
    channel = make_webhook(receiver, is_grouped=True)
    for _ in range(3):
        enqueue(make_told_incident(channel), "opened")
    claimed = claims.claim_some(16)
    assert len(claimed) == 3
    assert not delivery.has_due()
    assert all(leave(claim) for claim in claimed)
    enqueue(make_told_incident(channel), "opened")
    assert delivery.has_due()
    deliver()
    told = [r.json["data"].get("count", 1) for r in receiver.received]
    assert sum(told) == (4 if leave is settling.hand_back else 1)
    channel.refresh_from_db()
    assert len(channel.recent_sends) == len(receiver.received) <= 3


@pytest.mark.parametrize("leave", [settling.hand_back, suppress])
def test_a_probe_that_was_not_sent_after_all_is_made_by_the_next(
    receiver: Receiver, leave: Callable[[Claim], bool]
) -> None:
    channel = make_webhook(receiver)
    AlertChannel.objects.update(failures_in_row=5, breaker_seconds=30)
    for _ in range(2):
        enqueue(make_told_incident(channel), "opened")
    (claim,) = claims.claim_some(16)
    assert claim.is_probe
    assert not delivery.has_due()
    assert leave(claim)
    assert delivery.has_due()
    deliver()
    channel.refresh_from_db()
    assert (channel.failures_in_row, channel.breaker_seconds) == (0, 0)
    assert len(receiver.received) == (2 if leave is settling.hand_back else 1)


def test_what_waited_for_a_thread_until_its_lease_is_nearly_over_is_left_to_another(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow messages of an earlier turn may hold every thread."""
    margin = timedelta(seconds=SEND_SECONDS + 5)
    monkeypatch.setattr(delivery, "LEASE", margin + timedelta(seconds=1))
    (row,) = enqueue(make_told_incident(make_webhook(receiver)), "opened")
    is_free = threading.Event()
    slow = [delivery._pool().submit(is_free.wait, 60) for _ in range(delivery.THREADS)]
    threading.Timer(3, is_free.set).start()
    assert deliver(seconds=60) == 1, "by its second claim"
    assert all(one.result() for one in slow)
    row.refresh_from_db()
    assert (row.state, row.attempts) == (State.SENT, 1)
    assert row.deliveries.count() == 1
    assert len(receiver.received) == 1
    assert row.errors == []


def test_a_storm_is_told_by_three_messages_and_leaves_nobody_out(receiver: Receiver) -> None:
    channel = make_webhook(receiver, is_grouped=True)
    rule = make_told_incident(channel).alert_rule
    started = timezone.now()
    incidents = Incident.objects.bulk_create(
        Incident(alert_rule=rule, tenant=rule.tenant, subject=f"s{n}", title=f"monitor {n}: Down")
        for n in range(2800)
    )
    enqueue_all(incidents, "opened")
    deliver()
    assert len(receiver.received) == 3
    told = 0
    for request in receiver.received:
        data = request.json["data"]
        told += data.get("count", 1)
        assert len(request.body) <= 20_000
        assert data["link"].startswith("http")
    assert told == 2800
    assert set(Notification.objects.values_list("state", flat=True)) == {State.SENT}
    assert Incident.objects.filter(notified_at__gte=started).count() == 2800


def test_a_digest_that_was_tried_comes_again_as_it_was(receiver: Receiver) -> None:
    channel = make_webhook(receiver, is_grouped=True)
    [enqueue(make_told_incident(channel), "opened") for _ in range(10)]
    receiver.answer = lambda r: Answer(500 if r.event == "digest" else 200)
    deliver()
    first = next(r for r in receiver.received if r.event == "digest")
    enqueue(make_told_incident(channel), "opened")
    receiver.answer = Answer(200)
    pass_time(seconds=70)
    deliver()
    second = [r for r in receiver.received if r.event == "digest"][-1]
    assert second.message_id == first.message_id
    assert second.json["data"]["count"] == first.json["data"]["count"] == 8
    assert Notification.objects.filter(state=State.SENT).count() == 11


def test_a_digest_given_up_sets_the_others_free(receiver: Receiver) -> None:
    channel = make_webhook(receiver, is_grouped=True)
    rows = [enqueue(make_told_incident(channel), "opened")[0] for _ in range(6)]
    receiver.answer = lambda r: Answer(404 if r.event == "digest" else 200)
    deliver()
    pass_time(seconds=70)
    deliver()
    assert Notification.objects.dead().count() == 1
    receiver.answer = Answer(200)
    pass_time(seconds=70)
    deliver()
    assert sorted(states(*rows)) == [State.FAILED, *[State.SENT] * 5]


def test_a_channel_switched_off_keeps_its_mail_and_says_why(receiver: Receiver) -> None:
    channel = make_webhook(receiver)
    (row,) = enqueue(make_told_incident(channel), "opened")
    AlertChannel.objects.update(enabled=False, next_send_at=DatabaseNow())
    deliver()
    row.refresh_from_db()
    assert (row.state, row.suppress_reason) == (State.SUPPRESSED, "The channel is switched off.")
    assert not receiver.received
