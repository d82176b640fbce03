"""Mail through a real server on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message as Mail
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from pytest_django.fixtures import Settings

from alerts.channels import add_channel, test_channel
from alerts.models import Notification
from alerts.outbox import enqueue
from tests.alerts.outbox.sending import deliver, make_told_incident, pass_time, states
from tests.factories import make_tenant
from tests.ports import free_port

pytestmark = pytest.mark.django_db
State = Notification.State


class Postbox:
    """Takes mail and answers as told."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.envelopes: list[Envelope] = []
        self.says = "250 OK"
        self.says_to_addresses = "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.says_to_addresses.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.says_to_addresses

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.says.startswith("250"):
            content: Any = envelope.content
            self.mails.append(message_from_bytes(content))
            self.envelopes.append(envelope)
        return self.says


@pytest.fixture
def postbox(settings: Settings) -> Iterator[Postbox]:
    box = Postbox()
    server = Controller(box, hostname="127.0.0.1", port=free_port())
    server.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    settings.DEFAULT_FROM_EMAIL = "Hostmaster <alerts@hostmaster.example>"
    yield box
    server.stop()


def make_mail_channel(*to: str) -> Any:
    config = {"to": list(to) or ["ops@example.com"]}
    return add_channel(make_tenant(), name="mail", type="email", config=config, is_grouped=False)


def test_mails_about_one_incident_are_one_thread(postbox: Postbox) -> None:
    channel = make_mail_channel("ada@example.com", "bob@example.org")
    incident = make_told_incident(channel, title="shop: Down", trigger_value="3 checks failed")
    (opened,) = enqueue(incident, "opened")
    (resolved,) = enqueue(incident, "resolved")
    deliver()
    first, second = postbox.mails
    assert first["Message-ID"] == f"<msg_{opened.pk}@hostmaster.example>"
    assert second["Message-ID"] == f"<msg_{resolved.pk}@hostmaster.example>"
    assert first["References"] == second["References"]
    assert str(incident.pk) in first["References"]
    assert first["Subject"] == "[critical] shop: Down"
    assert first["Auto-Submitted"] == "auto-generated"
    assert postbox.envelopes[0].rcpt_tos == ["ada@example.com", "bob@example.org"]
    assert "3 checks failed" in first.get_payload()
    assert f"/admin/alerts/incident/{incident.pk}/change/" in first.get_payload()


def test_no_name_writes_a_header(postbox: Postbox) -> None:
    title = "shop\r\nBcc: victim@example.com\r\n\r\nbody"
    enqueue(make_told_incident(make_mail_channel(), title=title), "opened")
    deliver()
    (mail,) = postbox.mails
    assert mail["Bcc"] is None
    assert mail["Subject"] == "[critical] shop Bcc: victim@example.com body"
    assert postbox.envelopes[0].rcpt_tos == ["ops@example.com"]


def test_a_server_that_is_busy_is_asked_again(postbox: Postbox) -> None:
    (row,) = enqueue(make_told_incident(make_mail_channel()), "opened")
    postbox.says = "451 try later"
    deliver()
    assert states(row) == [State.PENDING]
    assert row.deliveries.get().status_code == 451
    postbox.says = "250 OK"
    pass_time(seconds=7)
    deliver()
    assert states(row) == [State.SENT]


def test_an_address_that_is_refused_is_given_up(postbox: Postbox) -> None:
    (row,) = enqueue(make_told_incident(make_mail_channel()), "opened")
    postbox.says_to_addresses = "550 nobody here"
    deliver()
    pass_time(seconds=7)
    deliver()
    assert states(row) == [State.FAILED]
    assert not postbox.mails


def test_a_server_that_is_not_there_is_waited_for(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
    (row,) = enqueue(make_told_incident(make_mail_channel()), "opened")
    deliver()
    assert states(row) == [State.PENDING]
    assert row.deliveries.get().error == "The mail server cannot be reached."


def test_the_test_of_a_channel_is_one_mail(postbox: Postbox) -> None:
    channel = make_mail_channel()
    result = test_channel(channel)
    assert (result.ok, result.status, result.error) == (True, 250, "")
    (mail,) = postbox.mails
    assert mail["Subject"] == "[info] Test of channel mail"
    assert mail["References"] is None
