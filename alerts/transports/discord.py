"""Discord: a rich embed by an incoming webhook."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from alerts.messages import Digest, Message
from alerts.transports.base import Config, Envelope, Outcome, refuse_unknown
from alerts.transports.limits import WORD, clip, one_line, plain, units
from alerts.transports.posting import clean_url, host_hint, post

TITLE, DESCRIPTION, FIELDS, FIELD_NAME, FIELD_VALUE, FOOTER = 256, 4096, 25, 256, 1024, 2048
TOTAL = 6000  # over all texts of all embeds
COLORS = {"critical": 0xD92D20, "warning": 0xDC6803, "resolved": 0x067647, "other": 0x475467}
_MARKDOWN = re.compile(r"[\\*_~`|>\[\]#]")


def clean(config: Config) -> dict[str, Any]:
    refuse_unknown(config, {"url", "webhook_url"})
    return {"url": clean_url(config)}


def hint(config: Config) -> str:
    return host_hint(config)


def send(envelope: Envelope) -> Outcome:
    # Without wait=true Discord answers 204 before it has stored the message.
    url = _with_wait(str(envelope.config["url"]))
    return post(url, render(envelope), {"Idempotency-Key": envelope.message_id})


def render(envelope: Envelope) -> dict[str, Any]:
    content = envelope.content
    embed = _digest_embed(content) if isinstance(content, Digest) else _embed(content)
    return {"embeds": [_inside_total(embed)], "allowed_mentions": {"parse": []}}


def escape(character: str) -> str:
    """One character, so that Discord shows it instead of formatting with it."""
    return f"\\{character}" if _MARKDOWN.match(character) else character


def _embed(message: Message) -> dict[str, Any]:
    facts = {
        "Address": clip(one_line(message.address), FIELD_VALUE),
        "Severity": _shown(message.severity, WORD),
        "Rule": _shown(message.rule, FIELD_VALUE),
        "Started": f"{message.started_at:%Y-%m-%d %H:%M:%S} UTC",
        "Lasted": message.duration,
    }
    return {
        "title": _shown(message.headline, TITLE) or "Alert",
        "url": message.link,
        "description": clip(plain(message.detail), DESCRIPTION, escape),
        "color": _color(message),
        "timestamp": (message.resolved_at or message.started_at).isoformat(),
        "fields": [
            {"name": name, "value": value, "inline": name != "Address"}
            for name, value in facts.items()
            if value
        ],
        "footer": {"text": "hostmaster"},
    }


def _digest_embed(digest: Digest) -> dict[str, Any]:
    more = f"\n[All incidents]({digest.link})"
    room = DESCRIPTION - units(more) - 40
    lines: list[str] = []
    for message in digest.messages:
        line = "• " + _shown(message.headline, 200)
        if room < units(line) + 1:
            break
        room -= units(line) + 1
        lines.append(line)
    left = len(digest.messages) - len(lines)
    if left:
        lines.append(f"… and {left} more")
    return {
        "title": _shown(digest.headline, TITLE),
        "url": digest.link,
        "description": "\n".join(lines) + more,
        "color": COLORS["critical"],
        "footer": {"text": "hostmaster"},
    }


def _shown(text: str, limit: int) -> str:
    return clip(one_line(text), limit, escape)


def _color(message: Message) -> int:
    if message.event == "resolved":
        return COLORS["resolved"]
    return COLORS.get(message.severity, COLORS["other"])


def _inside_total(embed: dict[str, Any]) -> dict[str, Any]:
    """The description gives way: everything else is short by its own limits."""
    over = _total(embed) - TOTAL
    if over > 0:
        room = units(embed["description"]) - over
        embed = {**embed, "description": clip(embed["description"], max(room, 0))}
    return embed


def _total(embed: dict[str, Any]) -> int:
    texts = [embed["title"], embed["description"], embed["footer"]["text"]]
    texts += [text for one in embed.get("fields", ()) for text in (one["name"], one["value"])]
    return sum(map(units, texts))


def _with_wait(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url  # refused when it is posted to
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != "wait"]
    return urlunsplit(parts._replace(query=urlencode([*query, ("wait", "true")])))
