"""Mail through a real server on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message as Mail
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from pytest_django.fixtures import Settings

from alerts.channels import add_channel, test_channel
from alerts.claims import LEASE
from alerts.models import Notification
from alerts.outbox import enqueue
from alerts.transports import email
from alerts.transports.base import SEND_SECONDS
from alerts.transports.smtp import PunctualBackend
from tests.alerts.outbox.sending import deliver, make_told_incident, pass_time, states
from tests.alerts.transports.slow_server import SlowServer
from tests.concurrency.processes import wait_for
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
        self.says_to: dict[str, str] = {}

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        says = self.says_to.get(address, self.says_to_addresses)
        if says.startswith("250"):
            envelope.rcpt_tos.append(address)
        return says

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.says.startswith("250"):
            content: Any = envelope.content
            self.mails.append(message_from_bytes(content))
            self.envelopes.append(envelope)
        return self.says


@pytest.fixture
def postbox(settings: Settings) -> Iterator[Postbox]:
    box = Postbox()
    server = Controller(
        box,
        hostname="127.0.0.1",
        port=free_port(),
        authenticator=know_nobody,
        auth_require_tls=False,
    )
    server.start()
    use_server(settings, server.port)
    settings.DEFAULT_FROM_EMAIL = "Hostmaster <alerts@hostmaster.example>"
    yield box
    server.stop()


def know_nobody(*_: object) -> AuthResult:
    return AuthResult(success=False, handled=False)


def use_server(settings: Settings, port: int, **more: Any) -> None:
    settings.EMAIL_BACKEND = email.SMTP
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    for name, value in more.items():
        setattr(settings, name, value)


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
    use_server(settings, free_port())
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


@pytest.mark.parametrize("at", ["greeting", "EHLO", "STARTTLS", "MAIL", "RCPT", "DATA", "."])
def test_a_server_that_drips_is_left_in_time(settings: Settings, at: str) -> None:
    with SlowServer(at) as server:
        use_server(settings, server.port, EMAIL_USE_TLS=at == "STARTTLS", EMAIL_TIMEOUT=1)
        (row,) = enqueue(make_told_incident(make_mail_channel()), "opened")
        deliver()
        wait_for(row.deliveries.exists, 30, "the try is over")
        assert server.was_left.wait(30)
    attempt = row.deliveries.get()
    assert (attempt.ok, attempt.error_class) == (False, "timeout")
    assert attempt.ms is not None
    assert attempt.ms >= 900
    assert states(row) == [State.PENDING]


def test_a_session_is_over_well_before_its_lease(settings: Settings) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_TIMEOUT = email.SMTP, 3600
    server = email._server()
    assert isinstance(server, PunctualBackend)
    # A message may have waited in its process for what is left of the lease.
    assert server.deadline.left() <= SEND_SECONDS < LEASE.total_seconds()


def test_a_server_that_took_the_mail_may_say_goodbye_as_slowly_as_it_likes(
    settings: Settings,
) -> None:
    with SlowServer("QUIT") as server:
        use_server(settings, server.port, EMAIL_TIMEOUT=20)
        (row,) = enqueue(make_told_incident(make_mail_channel()), "opened")
        deliver()
        assert states(row) == [State.SENT]
        attempt = row.deliveries.get()
    assert attempt.ok
    assert attempt.ms is not None
    assert attempt.ms < 10_000


def test_one_address_that_may_be_taken_later_is_worth_another_try(postbox: Postbox) -> None:
    channel = make_mail_channel("a@example.com", "b@example.com")
    (row,) = enqueue(make_told_incident(channel), "opened")
    postbox.says_to = {"a@example.com": "450 later", "b@example.com": "550 nobody"}
    for _ in range(2):
        deliver()
        pass_time(seconds=60)
    assert states(row) == [State.PENDING]


def test_a_wrong_password_of_the_operator_loses_nothing(
    postbox: Postbox, settings: Settings
) -> None:
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "ops", "wrong"
    (row,) = enqueue(make_told_incident(make_mail_channel()), "opened")
    for _ in range(3):
        deliver()
        pass_time(minutes=5)
    assert states(row) == [State.PENDING]
    assert {attempt.status_code for attempt in row.deliveries.all()} == {535}
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    deliver()
    assert states(row) == [State.SENT]
