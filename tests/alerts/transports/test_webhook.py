"""Signatures that the specification's own library accepts, also while a secret is replaced."""

from __future__ import annotations

import json
import random
import string
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from alerts.channels import rotate_secret
from alerts.outbox import enqueue
from alerts.transports import webhook
from alerts.transports.base import ConfigError
from tests.alerts.outbox.sending import deliver, make_told_incident, make_webhook, pass_time
from tests.alerts.receiver import Receiver


def any_json(dice: random.Random, depth: int = 0) -> Any:
    kind = dice.choice("dltnbf" if depth < 3 else "tnbf")
    if kind == "d":
        return {any_text(dice): any_json(dice, depth + 1) for _ in range(dice.randrange(4))}
    if kind == "l":
        return [any_json(dice, depth + 1) for _ in range(dice.randrange(4))]
    plain = {"t": any_text(dice), "n": dice.randrange(-(10**9), 10**9), "f": dice.random()}
    return plain.get(kind, dice.choice([True, False, None]))


def any_text(dice: random.Random) -> str:
    return "".join(dice.choices(string.printable + "äöü€🧨\u2028", k=dice.randrange(20)))


def test_the_library_accepts_a_thousand_bodies_also_in_rotation() -> None:
    dice = random.Random(5)
    old, new = webhook.new_secret(), webhook.new_secret()
    for number in range(1000):
        body = json.dumps({"n": number, "data": any_json(dice)}, ensure_ascii=dice.random() < 0.5)
        message_id = f"msg_{number}"
        headers = webhook.signed_headers(message_id, body, [new, old])
        for secret in (old, new):
            assert Webhook(secret).verify(body, headers)["n"] == number
        alone = webhook.signed_headers(message_id, body, [new])
        Webhook(new).verify(body, alone)
        with pytest.raises(WebhookVerificationError):
            Webhook(old).verify(body, alone)
        with pytest.raises(WebhookVerificationError):
            Webhook(new).verify(body + " ", headers)


@pytest.mark.django_db
def test_what_arrives_is_signed_by_both_secrets_until_the_old_one_is_over(
    receiver: Receiver,
) -> None:
    channel = make_webhook(receiver)
    old = channel.config["secret"]
    incident = make_told_incident(channel)
    enqueue(incident, "opened")
    deliver()
    new = rotate_secret(channel)
    assert new != old
    enqueue(incident, "reminder")
    deliver()
    channel.previous_secret_until = channel.created_at
    channel.save()
    enqueue(incident, "resolved")
    deliver()
    opened, reminder, resolved = receiver.received
    Webhook(old).verify(opened.body, opened.headers)
    for secret in (old, new):
        Webhook(secret).verify(reminder.body, reminder.headers)
    Webhook(new).verify(resolved.body, resolved.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(resolved.body, resolved.headers)


@pytest.mark.django_db
def test_each_try_has_its_own_time_and_the_same_id(receiver: Receiver) -> None:
    from tests.alerts.receiver import Answer

    channel = make_webhook(receiver)
    receiver.answer = Answer(500)
    enqueue(make_told_incident(channel), "opened")
    deliver()
    pass_time(seconds=7)
    deliver()
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    for request in (first, second):
        Webhook(channel.config["secret"]).verify(request.body, request.headers)


@pytest.mark.parametrize(
    ("secret", "is_right"),
    [
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", True),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", False),
        ("whsec_short", False),
        ("whsec_" + "A" * 200, False),
        ("whsec_ ", False),
    ],
)
def test_a_secret_of_ones_own_must_be_one(secret: str, is_right: bool) -> None:
    config = {"url": "https://hooks.example.com/x", "secret": secret}
    if is_right:
        assert webhook.clean(config)["secret"] == secret
        return
    with pytest.raises(ConfigError, match="whsec_"):
        webhook.clean(config)
