"""No spelling, name, scheme or redirect makes a channel dial what it must not."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from alerts.channels import add_channel, test_channel
from alerts.messages import Message
from alerts.models import AlertChannel, DeliveryAttempt
from alerts.outbox import enqueue
from alerts.transports import webhook
from alerts.transports.base import ConfigError, Envelope, Outcome
from alerts.transports.catalogue import transport_for
from tests.alerts.outbox.sending import deliver, make_told_incident, pass_time
from tests.alerts.receiver import Answer, Receiver
from tests.alerts.transports.texts import STARTED
from tests.factories import make_tenant
from tests.hostile_destinations import (
    METADATA_ADDRESSES,
    REBINDING_NAMES,
    REDIRECT_STATUSES,
    Sink,
    at_port,
    hostile_urls,
)

ANSWERS = ["127.0.0.1", "127.0.0.1", "127.0.0.1", "169.254.169.254"]
TYPES = ["webhook", "discord", "slack"]
MESSAGE = Message(
    *("n", "i", "opened", "critical", "shop: Down", "Down", "down", "shop", "", "", STARTED),
    resolved_at=None,
    link="https://hostmaster.example/",
)


@pytest.fixture(autouse=True)
def attackers_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one door to DNS: names of an attacker lead where he likes, unknown ones nowhere."""
    ask: Callable[..., Any] = socket.getaddrinfo
    known = dict(zip(REBINDING_NAMES, ANSWERS, strict=True))

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = str(host)
        if name in known:
            return ask(known[name], *args, **kwargs)
        try:
            ask(host, None, flags=socket.AI_NUMERICHOST)
        except (OSError, UnicodeError):
            if "local" not in name.lower() and "loopback" not in name:
                raise socket.gaierror(socket.EAI_NONAME, "unknown") from None
        return ask(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as sink:
        yield sink


def send(type_: str, url: str) -> Outcome:
    """As a row tells it, whatever was checked when it was written."""
    config = {"url": url, "secret": webhook.new_secret()}
    return transport_for(type_).send(Envelope(MESSAGE, "msg_1", config))


@pytest.mark.parametrize("type_", TYPES)
def test_no_hostile_form_reaches_the_sink(type_: str, sink: Sink) -> None:
    outcomes = [send(type_, at_port(url, sink.port)) for _, url in hostile_urls()]
    assert len(outcomes) >= 200
    assert sink.reach() == 0, sink.connections
    assert not any(outcome.ok for outcome in outcomes)
    words = {outcome.error_class for outcome in outcomes}
    assert words <= {"not_allowed", "bad_url", "connect", "timeout"}
    assert not any(str(sink.port) in outcome.error for outcome in outcomes)


@pytest.mark.allow_hosts(["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_the_sink_counts_what_is_let_through(sink: Sink, settings: Settings) -> None:
    """The test above can fail: opened, dozens of the forms do lead to loopback."""
    settings.HOSTMASTER_ALLOWED_NETWORKS = ["127.0.0.1/32", "::1/128"]
    for _, url in hostile_urls():
        send("webhook", at_port(url, sink.port))
    assert sink.reach() >= 50


def test_no_hostile_form_is_taken_as_a_channel_that_reaches_the_sink(sink: Sink) -> None:
    transport = transport_for("webhook")
    taken, sentences = [], set()
    for name, url in hostile_urls():
        try:
            transport.clean({"url": at_port(url, sink.port)})
        except ConfigError as error:
            sentences.add(str(error))
        else:
            taken.append(name)
    assert all(sentence.endswith(".") and "127" not in sentence for sentence in sentences)
    # Names are judged when they are dialled. What spells an address is refused at once.
    assert len(taken) < 60
    assert "http dotted" not in taken
    assert "https decimal" not in taken
    assert sink.reach() == 0


@pytest.mark.django_db
def test_neither_the_outbox_nor_the_test_of_a_channel_reaches_the_sink(sink: Sink) -> None:
    tenant = make_tenant()
    channels = []
    for number, (_, url) in enumerate(hostile_urls()):
        channel = AlertChannel(
            tenant=tenant,
            name=f"channel {number}",
            type=TYPES[number % 3],
            is_grouped=False,
        )
        config = {"url": at_port(url, sink.port), "secret": webhook.new_secret()}
        channel.config = json.loads(json.dumps(config))
        channels.append(channel)
    AlertChannel.objects.bulk_create(channels)
    results = [test_channel(channel) for channel in channels]
    assert not any(result.ok for result in results)
    enqueue(make_told_incident(*channels), "opened")
    assert deliver(60) >= len(channels)  # a second try is due in 5 s
    assert sink.reach() == 0, sink.connections
    assert DeliveryAttempt.objects.filter(ok=False).count() >= 2 * len(channels)
    kept = " ".join(DeliveryAttempt.objects.values_list("error", flat=True))
    assert str(sink.port) not in kept


@pytest.mark.django_db
@pytest.mark.parametrize("status", REDIRECT_STATUSES)
def test_no_redirect_is_followed(receiver: Receiver, sink: Sink, status: int) -> None:
    location = f"http://127.0.0.1:{sink.port}/"
    receiver.answer = Answer(status, b"", {"Location": location})
    config = {"url": receiver.url()}
    channel = add_channel(make_tenant(), name="a", type="webhook", config=config)
    result = test_channel(channel)
    assert (result.ok, result.status) == (False, status)
    enqueue(make_told_incident(channel), "opened")
    deliver()
    pass_time(seconds=70)
    deliver()
    assert sink.reach() == 0
    assert len(receiver.received) == 3


@pytest.mark.parametrize("address", METADATA_ADDRESSES)
def test_metadata_addresses_are_not_reached_by_any_type(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    for type_ in TYPES:
        for scheme in ("http", "https"):
            assert send(type_, f"{scheme}://{host}/latest").error_class == "not_allowed"


def test_an_opened_network_opens_nothing_else(settings: Settings, sink: Sink) -> None:
    settings.HOSTMASTER_ALLOWED_NETWORKS = ["::1/128"]
    for host in ("127.0.0.1", "127.0.0.10", "[::ffff:127.0.0.1]", "0.0.0.0", "[::127.0.0.1]"):
        assert send("webhook", f"http://{host}:{sink.port}/").error_class == "not_allowed"
    assert sink.reach() == 0
    send("webhook", f"http://[::1]:{sink.port}/")
    assert sink.reach() == 1
