"""Any text in any field gives payloads that the receivers take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.messages import Digest, Message
from alerts.transports import discord, email, slack, webhook
from alerts.transports.limits import clip, plain, units
from tests.alerts.transports.texts import contents, in_envelope, messages, texts

any_message = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def utf16(text: str) -> int:
    """As the receivers count, by another way than the code does."""
    return len(text.encode("utf-16-le")) // 2


@any_message
@given(contents)
def test_discord_takes_it(content: Message | Digest) -> None:
    payload = discord.render(in_envelope(content))
    json.dumps(payload).encode()
    assert payload["allowed_mentions"] == {"parse": []}
    (embed,) = payload["embeds"]
    fields = embed.get("fields", [])
    assert 0 < utf16(embed["title"]) <= 256
    assert utf16(embed["description"]) <= 4096
    assert len(fields) <= 25
    for field in fields:
        assert 0 < utf16(field["name"]) <= 256
        assert 0 < utf16(field["value"]) <= 1024
        assert field["value"].strip()
    assert utf16(embed["footer"]["text"]) <= 2048
    every = [embed["title"], embed["description"], embed["footer"]["text"]]
    every += [text for field in fields for text in (field["name"], field["value"])]
    assert sum(map(utf16, every)) <= 6000
    assert embed["title"].strip()
    assert_clean(every)


@any_message
@given(contents)
def test_slack_takes_it(content: Message | Digest) -> None:
    payload = slack.render(in_envelope(content))
    json.dumps(payload).encode()
    assert 0 < utf16(payload["text"]) <= 4000
    assert 0 < len(payload["blocks"]) <= 50
    every = [payload["text"]]
    for block in payload["blocks"]:
        block_texts = list(_texts_of(block))
        every += block_texts
        limit = {"header": 150, "section": 3000, "context": 3000}[block["type"]]
        assert all(0 < utf16(text) <= limit for text in block_texts)
        assert len(block.get("fields", [])) <= 10
        assert all(utf16(text["text"]) <= 2000 for text in block.get("fields", []))
    assert sum(map(utf16, every)) <= 12_000
    for text in every:
        own_links = text.count("<https://hostmaster.example/")
        assert text.count("<") == own_links  # nobody else's: no mention, no link in disguise
        assert text.count(">") == own_links
        rest = text
        for entity in ("&amp;", "&lt;", "&gt;"):
            rest = rest.replace(entity, "")
        assert "&" not in rest
    assert_clean(every)


@any_message
@given(contents)
def test_a_webhook_takes_it(content: Message | Digest) -> None:
    body = webhook.render(in_envelope(content))
    assert len(body.encode()) <= 20_000
    told = json.loads(body)
    if isinstance(content, Digest):
        data = told["data"]
        assert data["count"] == len(content.messages)
        assert len(data["incidents"]) + data["omitted"] == data["count"]
        assert data["link"]


@any_message
@given(contents)
def test_a_mail_takes_it(content: Message | Digest) -> None:
    mail = email.render(in_envelope(content, to=["ops@example.com"]))
    raw = mail.message().as_bytes()
    parsed = message_from_bytes(raw, policy=default)
    assert parsed["To"] == "ops@example.com"
    assert parsed["Bcc"] is None
    assert parsed["Cc"] is None
    assert len(parsed.get_all("Subject", [])) == 1
    assert "\n" not in mail.subject
    assert 0 < utf16(str(mail.subject)) <= 200
    assert parsed["Message-ID"] == "<msg_3f1c@localhost>"
    assert max(map(len, raw.split(b"\n"))) <= 998


@given(texts, st.integers(0, 40))
def test_clipped_text_is_inside_its_limit_and_whole(text: str, limit: int) -> None:
    for escape in (str, slack.escape, discord.escape):
        shown = clip(plain(text), limit, escape)
        assert units(shown) == utf16(shown) <= limit
        shown.encode()
    if units(plain(text)) <= limit:
        assert clip(plain(text), limit) == plain(text)


@any_message
@given(messages())
def test_discord_formats_nothing_of_what_others_wrote(message: Message) -> None:
    (embed,) = discord.render(in_envelope(message))["embeds"]
    bare = embed["description"].replace("\\\\", "")
    for mark in "*_~`|[]":
        assert bare.count(mark) == bare.count(f"\\{mark}")


def assert_clean(every: list[str]) -> None:
    for text in every:
        assert not any(c < " " and c not in "\n\t" for c in text)
        assert not any("\ud800" <= c <= "\udfff" for c in text)
        assert not any(c in text for c in "\u202e\u2066\x7f")


def _texts_of(block: dict[str, Any]) -> Iterator[str]:
    if "text" in block:
        yield block["text"]["text"]
    for part in (*block.get("fields", ()), *block.get("elements", ())):
        yield part["text"]
