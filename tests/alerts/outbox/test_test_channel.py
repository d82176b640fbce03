"""Test: one try, shown to who asked, kept in the log of tries, five a minute."""

from __future__ import annotations

import pytest

from alerts.channels import TestResult, TooManyTestsError, test_channel
from alerts.models import DeliveryAttempt
from hostmaster.core.masking import MASK
from tests.alerts.outbox.sending import make_webhook
from tests.alerts.receiver import Answer, Receiver

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def test_a_channel_that_works_says_so(receiver: Receiver) -> None:
    channel = make_webhook(receiver)
    result = test_channel(channel)
    assert (result.ok, result.status, result.reply, result.error) == (True, 200, "ok", "")
    assert result.milliseconds >= 0
    (request,) = receiver.received
    assert request.json["type"] == "channel.test"
    attempt = DeliveryAttempt.objects.get(channel=channel)
    assert (attempt.notification, attempt.ok, attempt.ms) == (None, True, result.milliseconds)


def test_a_failure_is_shown_once_and_changes_nothing_else(receiver: Receiver) -> None:
    receiver.answer = Answer(500, b"token=abcdefghijklmnop broken")
    channel = make_webhook(receiver)
    result = test_channel(channel)
    assert (result.ok, result.status) == (False, 500)
    assert result.error == "It answered with status 500."
    assert "abcdefghijklmnop" not in result.reply
    assert "broken" in result.reply
    assert len(receiver.received) == 1
    channel.refresh_from_db()
    assert (channel.failures_in_row, channel.last_error) == (0, "")


@pytest.mark.parametrize("repeated", ["T0KEN-of-this-hook", "s3cret of the query"])
def test_no_part_of_a_url_comes_back_in_what_is_shown(receiver: Receiver, repeated: str) -> None:
    receiver.answer = Answer(500, f"no such hook: {repeated}".encode())
    path = "/services/T0KEN-of-this-hook?key=s3cret%20of+the%20query"
    channel = make_webhook(receiver, config={"url": receiver.url(path)})
    result = test_channel(channel)
    assert result.reply.startswith("no such hook: ")
    assert repeated not in result.reply
    assert MASK in result.reply


def test_the_sixth_within_a_minute_is_refused(receiver: Receiver) -> None:
    channel = make_webhook(receiver)
    results: list[TestResult] = [test_channel(channel) for _ in range(5)]
    assert all(result.ok for result in results)
    with pytest.raises(TooManyTestsError, match="five times"):
        test_channel(channel)
    assert len(receiver.received) == 5
    assert test_channel(make_webhook(receiver)).ok  # another's are his own


def test_nobody_there_is_a_sentence_without_the_address(loopback_allowed: None) -> None:
    with Receiver() as receiver:
        channel = make_webhook(receiver)
    result = test_channel(channel)
    assert (result.ok, result.status) == (False, None)
    assert result.error == "No connection could be made."
