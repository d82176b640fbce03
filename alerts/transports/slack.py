"""Slack: Block Kit by an incoming webhook."""

from __future__ import annotations

from typing import Any

from alerts.messages import Digest, Message
from alerts.transports.base import Config, Envelope, Outcome, refuse_unknown
from alerts.transports.limits import WORD, clip, one_line, plain, units
from alerts.transports.posting import clean_url, host_hint, post

HEADER, SECTION, FIELD, FIELDS, BLOCKS = 150, 3000, 2000, 10, 50
TOTAL = 12_000  # Slack refuses above about 13,200, which it documents nowhere
FALLBACK = 300  # what a phone's banner shows
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MARKS = {"critical": "🔴", "warning": "🟠"}


def clean(config: Config) -> dict[str, Any]:
    refuse_unknown(config, {"url", "webhook_url"})
    return {"url": clean_url(config)}


def hint(config: Config) -> str:
    return host_hint(config)


def send(envelope: Envelope) -> Outcome:
    url = str(envelope.config["url"])
    return post(url, render(envelope), {"Idempotency-Key": envelope.message_id})


def render(envelope: Envelope) -> dict[str, Any]:
    content = envelope.content
    blocks = _digest_blocks(content) if isinstance(content, Digest) else _blocks(content)
    return {
        "text": clip(one_line(content.headline), FALLBACK, escape) or "Alert",
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def escape(character: str) -> str:
    """The three characters that Slack's own mark-up is made of: no mention survives it."""
    return _ESCAPES.get(character, character)


def _blocks(message: Message) -> list[dict[str, Any]]:
    mark = "🟢" if message.event == "resolved" else _MARKS.get(message.severity, "⚪")
    facts = {
        "Severity": clip(one_line(message.severity), WORD, escape),
        "Rule": clip(one_line(message.rule), 300, escape),
        "Started": f"{message.started_at:%Y-%m-%d %H:%M:%S} UTC",
        "Lasted": message.duration,
        "Address": clip(one_line(message.address), 1000, escape),
    }
    blocks: list[dict[str, Any]] = [_header(f"{mark} {message.headline}")]
    detail = clip(plain(message.detail), SECTION, escape)
    if detail:
        blocks.append(_section(detail))
    fields = [_mrkdwn(f"*{name}*\n{value}") for name, value in facts.items() if value]
    blocks.append({"type": "section", "fields": fields[:FIELDS]})
    blocks.append(_footer(message.link, "Open the incident"))
    return blocks


def _digest_blocks(digest: Digest) -> list[dict[str, Any]]:
    """One section after the other until the total is reached."""
    blocks = [_header(digest.headline)]
    room = TOTAL - 1000  # header, fallback, footer
    lines: list[str] = []
    size = told = 0
    for message in digest.messages:
        line = "• " + clip(one_line(message.headline), 200, escape)
        if room < units(line) + 1:
            break
        if size + units(line) + 1 > SECTION:
            blocks.append(_section("\n".join(lines)))
            lines, size = [], 0
        lines.append(line)
        size += units(line) + 1
        room -= units(line) + 1
        told += 1
    left = len(digest.messages) - told
    if lines:
        blocks.append(_section("\n".join(lines)))
    if left:
        blocks.append(_section(f"… and {left} more"))
    return [*blocks, _footer(digest.link, "All incidents")]


def _header(text: str) -> dict[str, Any]:
    shown = clip(one_line(text), HEADER, escape) or "Alert"
    return {"type": "header", "text": {"type": "plain_text", "text": shown, "emoji": False}}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _mrkdwn(text)}


def _footer(link: str, words: str) -> dict[str, Any]:
    return {"type": "context", "elements": [_mrkdwn(f"<{link}|{words}> · hostmaster")]}


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}
