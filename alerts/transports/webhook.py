"""A plain webhook, signed as the Standard Webhooks specification says."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook

from alerts.messages import Digest, Message
from alerts.transports.base import Config, ConfigError, Envelope, Outcome, refuse_unknown, text_of
from alerts.transports.limits import WORD, clip, plain
from alerts.transports.posting import clean_url, host_hint, post

SECRET_PREFIX = "whsec_"  # noqa: S105 what every secret begins with
SECRET_BYTES = 32
BODY_BYTES = 20_000  # the specification's limit
TEXT_UNITS = 1000


def new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def clean(config: Config) -> dict[str, Any]:
    refuse_unknown(config, {"url", "webhook_url", "secret", "previous_secret"})
    cleaned = {"url": clean_url(config), "secret": text_of(config, "secret") or new_secret()}
    if previous := text_of(config, "previous_secret"):
        cleaned["previous_secret"] = previous
    for name in cleaned.keys() - {"url"}:
        _check_secret(cleaned[name])
    return cleaned


def hint(config: Config) -> str:
    return host_hint(config)


def send(envelope: Envelope) -> Outcome:
    config = envelope.config
    body = render(envelope)
    keys = [str(config["secret"])]
    if envelope.signs_with_previous and config.get("previous_secret"):
        keys.append(str(config["previous_secret"]))
    headers = signed_headers(envelope.message_id, body, keys)
    return post(str(config["url"]), body, headers, secrets=tuple(keys))


def signed_headers(message_id: str, body: str, keys: list[str]) -> dict[str, str]:
    """One signature for each key: during a rotation either is accepted."""
    now = datetime.now(UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(key).sign(message_id, now, body) for key in keys),
        "Idempotency-Key": message_id,
    }


def render(envelope: Envelope) -> str:
    """The body, at most 20 kB."""
    content = envelope.content
    if isinstance(content, Digest):
        return _render_digest(content)
    return _dump(
        f"incident.{content.event}" if content.event != "test" else "channel.test", content
    )


def _dump(kind: str, message: Message) -> str:
    return json.dumps(
        {
            "type": kind,
            "timestamp": datetime.now(UTC).isoformat(),
            "data": _facts(message),
        }
    )


def _render_digest(digest: Digest) -> str:
    """As many incidents as fit; `omitted` counts the others, which `link` lists."""
    body: dict[str, Any] = {
        "type": "incident.digest",
        "timestamp": datetime.now(UTC).isoformat(),
        "data": {
            "summary": digest.headline,
            "count": len(digest.messages),
            "omitted": len(digest.messages),
            "link": digest.link,
            "incidents": [],
        },
    }
    room = BODY_BYTES - len(json.dumps(body)) - 2
    for message in digest.messages:
        facts = _short_facts(message)
        room -= len(json.dumps(facts)) + 2
        if room < 0:
            break
        body["data"]["incidents"].append(facts)
        body["data"]["omitted"] -= 1
    return json.dumps(body)


def _facts(message: Message) -> dict[str, Any]:
    return {
        "incident_id": message.incident_id,
        "event": message.event,
        "severity": _text(message.severity, WORD),
        "summary": _text(message.headline),
        "title": _text(message.title),
        "rule": _text(message.rule, 200),
        "kind": _text(message.kind, WORD),
        "subject": _text(message.subject, 200),
        "url": _text(message.address),
        "detail": _text(message.detail),
        "started_at": message.started_at.isoformat(),
        "resolved_at": message.resolved_at.isoformat() if message.resolved_at else None,
        "duration": message.duration,
        "link": message.link,
    }


def _short_facts(message: Message) -> Mapping[str, Any]:
    return {
        "incident_id": message.incident_id,
        "event": message.event,
        "severity": _text(message.severity, WORD),
        "title": _text(message.title, 100),
        "started_at": message.started_at.isoformat(),
        "resolved_at": message.resolved_at.isoformat() if message.resolved_at else None,
    }


def _text(text: str, limit: int = TEXT_UNITS) -> str:
    # JSON writes a character outside ASCII with six bytes for each unit: 3 × 1000 and 2 × 200
    # units stay below the body's limit.
    return clip(plain(text), limit // 2 if not text.isascii() else limit)


def _check_secret(secret: str) -> None:
    sentence = (
        "A webhook's secret is whsec_ and 24 to 64 bytes in base64. Leave it out to have one made."
    )
    if not secret.startswith(SECRET_PREFIX):
        raise ConfigError(sentence)
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX) + "==", validate=False)
    except (binascii.Error, ValueError):
        raise ConfigError(sentence) from None
    if not 24 <= len(key) <= 64:
        raise ConfigError(sentence)
