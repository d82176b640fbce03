"""Two processes at one channel: whoever comes second waits with nothing in its hands."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from alerts import claims, settling
from alerts.claims import Claim
from alerts.models import AlertChannel, Notification
from alerts.outbox import enqueue
from alerts.transports.base import Outcome
from hostmaster.core.clock import database_now
from tests.alerts.outbox.sending import make_told_incident, make_webhook
from tests.alerts.receiver import Receiver
from tests.concurrency.processes import wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


def expire(claim: Claim) -> bool:
    return settling.expire_attempt(claim.leader, Q())


def fail(claim: Claim) -> bool:
    outcome = Outcome(False, error_class="timeout", error="It did not answer in time.")
    return settling.settle(claim, outcome, timezone.now(), 5)


def suppress(claim: Claim) -> bool:
    return settling.suppress(claim, "A silence.")


@pytest.mark.parametrize("settle", [expire, fail, suppress, settling.hand_back])
def test_a_channel_is_locked_before_its_notifications(
    receiver: Receiver, settle: Callable[[Claim], bool]
) -> None:
    (row,) = enqueue(make_told_incident(make_webhook(receiver)), "opened")
    (claim,) = claims.claim_some(1)
    done: list[bool] = []

    def second() -> None:
        try:
            done.append(settle(claim))
        finally:
            connection.close()

    thread = threading.Thread(target=second)
    with transaction.atomic():
        AlertChannel.objects.select_for_update().get(pk=claim.channel.pk)
        thread.start()
        wait_for(lambda: somebody_waits(thread), 30, "the second one waits")
        # Held by the second one, this would deadlock: it waits for what we have.
        assert Notification.objects.select_for_update(nowait=True).get(pk=row.pk)
    thread.join(60)
    assert done == [True]


def test_an_incident_need_not_wait_for_who_claims(receiver: Receiver) -> None:
    channel = make_webhook(receiver)
    incident = make_told_incident(channel)
    written = threading.Event()

    def write() -> None:
        try:
            enqueue(incident, "opened")
            written.set()
        finally:
            connection.close()

    thread = threading.Thread(target=write)
    with transaction.atomic():
        assert claims._locked(channel.pk) is not None
        thread.start()
        if connection.vendor == "postgresql":  # SQLite has one writer
            assert written.wait(30)
    thread.join(60)
    assert written.is_set()


def somebody_waits(thread: threading.Thread) -> bool:
    if connection.vendor != "postgresql":
        return thread.is_alive()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE NOT granted AND datname = current_database()"
        )
        found = cursor.fetchone()
    return bool(found and found[0])


def test_a_probe_of_a_dead_worker_holds_nobody_up(receiver: Receiver) -> None:
    channel = make_webhook(receiver)
    AlertChannel.objects.update(failures_in_row=5, breaker_seconds=30)
    enqueue(make_told_incident(channel), "opened")
    (claim,) = claims.claim_some(1)
    assert claim.is_probe
    assert not claims.channels_with_work().exists()
    assert expire(claim)
    assert claims.channels_with_work().exists()


def test_a_server_that_asked_us_to_wait_is_not_forgotten(receiver: Receiver) -> None:
    channel = make_webhook(receiver, is_grouped=True)
    enqueue(make_told_incident(channel), "opened")
    (claim,) = claims.claim_some(1)
    AlertChannel.objects.update(next_send_at=database_now(timedelta(minutes=7)))
    assert settling.hand_back(claim)
    channel.refresh_from_db()
    assert channel.next_send_at > timezone.now() + timedelta(minutes=6)
    assert channel.recent_sends == []
