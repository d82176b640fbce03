"""E-mail through the operator's server; a channel holds addresses, never a host."""

from __future__ import annotations

import smtplib
from collections.abc import Iterable
from email.utils import parseaddr
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.core.validators import validate_email

from alerts.messages import Digest, Message
from alerts.transports.base import (
    REPLY_BYTES,
    Config,
    ConfigError,
    Envelope,
    Outcome,
    refuse_unknown,
)
from alerts.transports.limits import WORD, clip, one_line, plain
from alerts.transports.smtp import PunctualBackend
from hostmaster.core.logs import mask

SMTP = "django.core.mail.backends.smtp.EmailBackend"
MOST_ADDRESSES = 20
SUBJECT = 200
SESSION_SECONDS = 25.0  # from dialling to "250 OK"; `EMAIL_TIMEOUT` may shorten it
DIGEST_LINES = 500


def clean(config: Config) -> dict[str, Any]:
    names = {"to", "email", "emails", "address", "addresses", "recipients"}
    refuse_unknown(config, names)
    addresses = list(dict.fromkeys(_addresses(config[name] for name in config)))
    if not addresses:
        raise ConfigError("An e-mail channel needs 'to': a list of addresses.")
    if len(addresses) > MOST_ADDRESSES:
        raise ConfigError(f"An e-mail channel has at most {MOST_ADDRESSES} addresses.")
    for address in addresses:
        try:
            validate_email(address)
        except ValidationError:
            raise ConfigError(f"{address!r} is not an e-mail address.") from None
    return {"to": addresses}


def hint(config: Config) -> str:
    addresses = config.get("to")
    if not isinstance(addresses, list):
        return ""
    return ", ".join(f"{to[:1]}…@{to.rpartition('@')[2]}" for to in map(str, addresses))


def send(envelope: Envelope) -> Outcome:
    mail = render(envelope)
    server = mail.connection = _server()
    try:
        mail.send()
    except smtplib.SMTPRecipientsRefused as error:
        # One that may be taken later is worth another try of all.
        code = min((code for code, _ in error.recipients.values()), default=550)
        return _refused(code, "The mail server refused the addresses.")
    except smtplib.SMTPResponseException as error:
        reply = mask(_decoded(error.smtp_error))
        sentence = f"The mail server answered {error.smtp_code}."
        # Only of the mail itself it can be final: a wrong password or sender is the operator's to
        # mend, and what waits goes out then.
        is_final = isinstance(error, smtplib.SMTPDataError)
        return _refused(error.smtp_code, sentence, reply, is_final=is_final)
    except (smtplib.SMTPException, OSError, ValueError) as error:
        if isinstance(error, TimeoutError) or _is_late(server):
            sentence = "The mail server did not take it in time."
            return Outcome(ok=False, error_class="timeout", error=sentence)
        return Outcome(ok=False, error_class="connect", error="The mail server cannot be reached.")
    finally:
        server.close()
    return Outcome(ok=True, status_code=250)


def _server() -> BaseEmailBackend:
    """The operator's, with a deadline of its own if it is a real one."""
    if settings.EMAIL_BACKEND != SMTP:
        return get_connection()
    return PunctualBackend(min(settings.EMAIL_TIMEOUT or SESSION_SECONDS, SESSION_SECONDS))


def _is_late(server: BaseEmailBackend) -> bool:
    return isinstance(server, PunctualBackend) and server.deadline.is_over()


def render(envelope: Envelope) -> EmailMessage:
    """Mails about one incident are one thread: all refer to the same id."""
    domain = _domain()
    content = envelope.content
    headers = {
        "Message-ID": f"<{envelope.message_id}@{domain}>",
        "Auto-Submitted": "auto-generated",
    }
    if isinstance(content, Message) and content.event != "test":
        thread = f"<incident.{content.incident_id}@{domain}>"
        headers |= {"References": thread, "In-Reply-To": thread}
    return EmailMessage(
        subject=_subject(content),
        body=_digest_body(content) if isinstance(content, Digest) else _body(content),
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[str(to) for to in envelope.config["to"]],
        headers=headers,
    )


def _subject(content: Message | Digest) -> str:
    is_one = isinstance(content, Message) and content.event != "resolved"
    mark = (
        f"[{clip(one_line(content.severity), WORD)}] "
        if isinstance(content, Message) and is_one
        else ""
    )
    return clip(one_line(mark + content.headline), SUBJECT) or "Alert"


def _body(message: Message) -> str:
    facts = {
        "Severity": clip(one_line(message.severity), WORD),
        "Rule": one_line(message.rule),
        "About": one_line(message.subject),
        "Address": one_line(message.address),
        "Started": f"{message.started_at:%Y-%m-%d %H:%M:%S} UTC",
        "Resolved": f"{message.resolved_at:%Y-%m-%d %H:%M:%S} UTC" if message.resolved_at else "",
        "Lasted": message.duration,
    }
    lines = [one_line(message.headline), ""]
    if message.detail:
        lines += [clip(plain(message.detail), 4000), ""]
    lines += [f"{name}: {value}" for name, value in facts.items() if value]
    return "\n".join([*lines, "", message.link, ""])


def _digest_body(digest: Digest) -> str:
    told = digest.messages[:DIGEST_LINES]
    lines = [f"- {clip(one_line(message.headline), 300)}" for message in told]
    left = len(digest.messages) - len(told)
    if left:
        lines.append(f"… and {left} more")
    return "\n".join([one_line(digest.headline), "", *lines, "", digest.link, ""])


def _refused(code: int, sentence: str, reply: str = "", *, is_final: bool = True) -> Outcome:
    """4xx: the server may take it later; 5xx: it never will."""
    return Outcome(
        ok=False,
        status_code=code if 0 < code < 1000 else None,
        error_class="status",
        error=sentence,
        reply=reply.encode()[:REPLY_BYTES].decode("utf-8", "ignore"),
        is_refused=is_final and 500 <= code < 600,
    )


def _addresses(values: Iterable[object]) -> Iterable[str]:
    for value in values:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            raise ConfigError("'to' must be a list of addresses.")
        for part in parts:
            if not isinstance(part, str):
                raise ConfigError("'to' must be a list of addresses.")
            if part.strip():
                yield part.strip()


def _domain() -> str:
    """Of the ids of our mails: the sender's, or else the host people open."""
    sender = parseaddr(str(settings.DEFAULT_FROM_EMAIL))[1].rpartition("@")[2]
    return sender or urlsplit(str(settings.PUBLIC_URL)).hostname or "localhost"


def _decoded(text: bytes | str) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
