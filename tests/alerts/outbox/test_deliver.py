"""From the row in the outbox to the receiver, and what is kept of it."""

from __future__ import annotations

import json
import logging
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from alerts import claims, delivery, retry_tables, settling
from alerts.models import AlertChannel, DeliveryAttempt, Incident, Notification
from alerts.outbox import NotReplayableError, enqueue, replay
from alerts.transports.base import Outcome
from hostmaster.core.health.models import SystemLog
from tests.alerts.outbox.sending import (
    deliver,
    lose_worker,
    make_told_incident,
    make_webhook,
    pass_time,
    states,
)
from tests.alerts.receiver import Answer, Receiver

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
State = Notification.State


def test_a_notification_is_sent_once_and_all_of_it_is_noted(receiver: Receiver) -> None:
    incident = make_told_incident(make_webhook(receiver), trigger_value="3 checks failed")
    (row,) = enqueue(incident, "opened")
    assert deliver() == 1
    assert deliver() == 0
    (request,) = receiver.received
    assert request.message_id == f"msg_{row.pk}" == request.headers["idempotency-key"]
    assert request.json["type"] == "incident.opened"
    assert request.json["data"]["detail"] == "3 checks failed"
    row.refresh_from_db()
    assert (row.state, row.attempts, row.lease_owner) == (State.SENT, 1, "")
    assert row.finished_at is not None
    attempt = row.deliveries.get()
    assert (attempt.no, attempt.ok, attempt.status_code, attempt.reply) == (1, True, 200, "ok")
    incident.refresh_from_db()
    assert incident.notified_at is not None


def test_each_channel_of_the_rule_is_told(receiver: Receiver) -> None:
    first = make_webhook(receiver)
    second = make_webhook(receiver, tenant=first.tenant, name="other")
    enqueue(make_told_incident(first, second), "opened")
    assert deliver() == 2
    assert receiver.doubles() == 0
    assert len(receiver.received) == 2


def test_an_outbox_of_a_rolled_back_change_owes_nothing(receiver: Receiver) -> None:
    incident = make_told_incident(make_webhook(receiver))
    with transaction.atomic():
        enqueue(incident, "opened")
        transaction.set_rollback(True)
    assert deliver() == 0
    assert not receiver.received


def test_a_failed_try_is_made_again_under_the_same_id(receiver: Receiver) -> None:
    receiver.answer = Answer(503, b"later")
    (row,) = enqueue(make_told_incident(make_webhook(receiver)), "opened")
    deliver()
    row.refresh_from_db()
    assert (row.state, row.attempts) == (State.PENDING, 1)
    assert timedelta(seconds=3) < row.run_at - timezone.now() < timedelta(seconds=7)
    assert row.errors[0]["message"] == "It answered with status 503."
    receiver.answer = Answer(204, b"")
    pass_time(seconds=7)
    deliver()
    assert states(row) == [State.SENT]
    assert receiver.doubles() == 1
    attempts = row.deliveries.order_by("no").values_list("no", "ok", "status_code")
    assert list(attempts) == [(1, False, 503), (2, True, 204)]


def test_a_worker_that_died_costs_one_try(receiver: Receiver) -> None:
    (row,) = enqueue(make_told_incident(make_webhook(receiver)), "opened")
    (claim,) = claims.claim_some(1)
    assert claims.claim_some(1) == []
    assert not delivery.has_due()
    lose_worker(row)
    assert delivery.has_due()
    deliver()
    row.refresh_from_db()
    assert (row.state, row.attempts) == (State.SENT, 2)
    assert list(row.deliveries.order_by("no").values_list("error_class", flat=True)) == ["lost", ""]
    # The dead one comes back, and finds that it is not his any more.
    assert not settling.settle(claim, Outcome(True, 200), timezone.now(), 5)
    row.refresh_from_db()
    assert row.state == State.SENT


def test_a_redirect_is_a_failure_and_never_followed(receiver: Receiver) -> None:
    receiver.answer = Answer(307, b"", {"Location": receiver.url("/elsewhere")})
    (row,) = enqueue(make_told_incident(make_webhook(receiver)), "opened")
    deliver()
    assert [request.path for request in receiver.received] == ["/hook"]
    assert row.deliveries.get().error_class == "redirect"
    assert states(row) == [State.PENDING]


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_believed_the_second_time(receiver: Receiver, status: int) -> None:
    receiver.answer = Answer(status, b"no")
    channel = make_webhook(receiver)
    (row,) = enqueue(make_told_incident(channel), "opened")
    deliver()
    assert states(row) == [State.PENDING]
    pass_time(seconds=7)
    deliver()
    assert states(row) == [State.FAILED]
    assert list(Notification.objects.dead()) == [row]
    channel.refresh_from_db()
    assert channel.last_error == f"It answered with status {status}."
    assert channel.enabled


def test_a_channel_that_is_gone_is_switched_off_and_said_so(receiver: Receiver) -> None:
    receiver.answer = Answer(410, b"gone")
    channel = make_webhook(receiver)
    incident = make_told_incident(channel)
    (row,) = enqueue(incident, "opened")
    deliver()
    assert states(row) == [State.FAILED]
    channel.refresh_from_db()
    assert not channel.enabled
    log = SystemLog.objects.get(context__fact="channel_disabled")
    assert "410" in log.message
    (later,) = enqueue(incident, "reminder")
    assert later.state == State.SUPPRESSED
    assert "410" in later.suppress_reason


def test_after_120_hours_of_failures_a_channel_is_switched_off(receiver: Receiver) -> None:
    receiver.answer = Answer(500)
    channel = make_webhook(receiver)
    enqueue(make_told_incident(channel), "opened")
    deliver()
    AlertChannel.objects.update(failing_since=timezone.now() - timedelta(hours=121))
    pass_time(seconds=7)
    deliver()
    channel.refresh_from_db()
    assert not channel.enabled
    assert "120 hours" in channel.disabled_reason
    assert SystemLog.objects.filter(context__fact="channel_disabled").count() == 1


def test_what_is_too_old_expires_and_may_be_replayed(receiver: Receiver) -> None:
    (row,) = enqueue(make_told_incident(make_webhook(receiver)), "opened")
    pass_time(hours=97)
    assert delivery.expire_old() == 1
    assert deliver() == 0
    assert states(row) == [State.EXPIRED]
    assert list(Notification.objects.dead()) == [row]
    row.refresh_from_db()
    assert row.retry(actor="admin")
    deliver()
    assert states(row) == [State.SENT]


def test_the_tables_last_as_long_as_their_specifications_say(receiver: Receiver) -> None:
    receiver.answer = Answer(500)
    channel = make_webhook(receiver)
    (row,) = enqueue(make_told_incident(channel), "opened")
    waited = timedelta()
    for _ in range(10):
        deliver()
        row.refresh_from_db()
        if not row.is_open:
            break
        wait = row.run_at - timezone.now()
        waited += wait
        pass_time(seconds=wait.total_seconds() + 1)
        # One row alone is to be looked at here, not its channel's breaker.
        AlertChannel.objects.update(
            failures_in_row=0, breaker_seconds=0, next_send_at=timezone.now()
        )
    assert (row.state, row.attempts) == (State.FAILED, 10)
    assert timedelta(hours=75.6 * 0.8) < waited < timedelta(hours=75.6 * 1.2)


@pytest.mark.parametrize("kind", ["webhook", "slack"])
def test_the_last_try_comes_in_time_however_waits_are_jittered(kind: str) -> None:
    longest = sum(retry_tables.delays(kind), timedelta()) * (1 + retry_tables.JITTER)
    now = timezone.now()
    assert now + longest < retry_tables.deliver_by(kind, now)


def test_a_sent_notification_is_replayed_under_its_id(receiver: Receiver) -> None:
    (row,) = enqueue(make_told_incident(make_webhook(receiver)), "opened")
    with pytest.raises(NotReplayableError):
        replay(row)
    deliver()
    row.refresh_from_db()
    replay(row, actor="ada")
    deliver()
    assert receiver.doubles() == 1
    assert row.deliveries.count() == 2
    assert [a.no for a in row.deliveries.order_by("no")] == [1, 2]


def test_a_suppressed_notification_says_why_and_a_replay_overrules_it(receiver: Receiver) -> None:
    incident = make_told_incident(make_webhook(receiver), suppress_reason="Silenced: deploy.")
    (row,) = enqueue(incident, "opened")
    (end,) = enqueue(incident, "resolved")
    assert deliver() == 0
    row.refresh_from_db()
    assert (row.state, row.suppress_reason) == (State.SUPPRESSED, "Silenced: deploy.")
    end.refresh_from_db()
    assert end.state == State.SUPPRESSED
    row.replay()
    deliver()
    assert receiver.events == ["opened"]


def test_no_secret_is_kept_of_an_echoing_receiver(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    channel = make_webhook(receiver, config={"url": receiver.url("/T0/very-secret-path")})
    secret = channel.config["secret"]
    receiver.answer = Answer(500, f"{receiver.url('/T0/very-secret-path')} {secret}".encode() * 99)
    with caplog.at_level(logging.DEBUG):
        (row,) = enqueue(make_told_incident(channel), "opened")
        deliver()
    attempt = row.deliveries.get()
    assert 0 < len(attempt.reply.encode()) <= 1024
    row.refresh_from_db()
    kept = f"{attempt.reply}{attempt.error}{row.errors}{row.payload}{caplog.text}{channel!r}"
    for word in ("very-secret-path", secret, secret.removeprefix("whsec_")):
        assert word not in kept


def test_the_row_of_a_channel_holds_no_plain_text_of_its_config(receiver: Receiver) -> None:
    channel = make_webhook(receiver)
    stored = json.dumps(AlertChannel.objects.filter(pk=channel.pk).values()[0], default=str)
    assert "127.0.0.1" not in stored
    assert "whsec_" not in stored
    assert Incident.objects.count() == DeliveryAttempt.objects.count() == 0


def test_what_a_message_under_way_tells_does_not_expire_beside_it(receiver: Receiver) -> None:
    incident = make_told_incident(make_webhook(receiver))
    (leader,) = enqueue(incident, "opened")
    (folded,) = enqueue(incident, "acknowledged")
    claims.fold(leader, [folded])
    (claim,) = claims.claim_some(1)
    Notification.objects.update(deliver_by=timezone.now() - timedelta(seconds=1))
    assert delivery.expire_old() == 0
    assert settling.settle(claim, Outcome(True, 200), timezone.now(), 5)
    assert set(Notification.objects.values_list("state", flat=True)) == {State.SENT}


@pytest.mark.parametrize("outcome", [Outcome(True, 200), Outcome(False, 500, "status", "No.")])
def test_a_channel_deleted_while_a_message_is_under_way_ends_no_turn(
    receiver: Receiver, outcome: Outcome
) -> None:
    channel = make_webhook(receiver)
    enqueue(make_told_incident(channel), "opened")
    (claim,) = claims.claim_some(1)
    AlertChannel.objects.get(pk=channel.pk).delete()
    assert not settling.settle(claim, outcome, timezone.now(), 5)
