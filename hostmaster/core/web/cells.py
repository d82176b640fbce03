"""How a value looks in the admin: a badge, an instant, money, facts. Markup only, no style."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

NOTHING = "–"
LONGEST_WORDS = 90

_STEPS = (
    (timedelta(days=1), timedelta(days=365), "day"),
    (timedelta(hours=1), timedelta(days=2), "h"),
    (timedelta(minutes=1), timedelta(hours=2), "min"),
    (timedelta(seconds=1), timedelta(minutes=2), "s"),
)


class Tone(StrEnum):
    """What a badge's colour says beside its mark and its word."""

    GOOD = "good"
    BUSY = "busy"
    CALM = "calm"  # waits, or is over without a verdict
    WARN = "warn"
    BAD = "bad"


def badge(mark: str, word: str, tone: Tone) -> SafeString:
    """A mark and a word: colour alone tells nothing to many people."""
    return format_html(
        '<span class="badge badge-{}"><span aria-hidden="true">{}</span> {}</span>',
        tone.value,
        mark,
        word,
    )


def instant(at: datetime | None, *, now: datetime | None = None) -> SafeString | str:
    """Relative time; the exact time (UTC) is its title."""
    if at is None:
        return NOTHING
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        at.isoformat(),
        f"{at:%Y-%m-%d %H:%M:%S}",
        relative(at, now or timezone.now()),
    )


def relative(at: datetime, now: datetime) -> str:
    """`3 min ago`, `in 25 s`, `now`."""
    distance = at - now
    if abs(distance) < timedelta(seconds=1):
        return "now"
    text = span(abs(distance))
    return f"in {text}" if distance > timedelta() else f"{text} ago"


def span(length: timedelta | None) -> str:
    """A length of time in its one fitting unit: `85 s`, `14 min`, `3 h`, `12 days`."""
    if length is None:
        return NOTHING
    for unit, upto, name in reversed(_STEPS):
        if length < upto:
            return _counted(length / unit, name)
    return _counted(length / _STEPS[0][0], "day")


def _counted(number: float, unit: str) -> str:
    if unit == "s" and number < 1:
        return f"{number * 1000:.0f} ms"
    whole = int(number)
    return f"{whole} day" + "s" * (whole != 1) if unit == "day" else f"{whole} {unit}"


def usd(amount: Decimal | None, *, if_unknown: str = NOTHING) -> str:
    """`$1,234.56`."""
    return if_unknown if amount is None else f"${amount:,.2f}"


def usd_range(low: Decimal, high: Decimal) -> str:
    """`$7.50 – $30.00`, or one figure when both ends are the same to the cent."""
    first, last = usd(low), usd(high)
    return last if first == last else f"{first} – {last}"


def shortened(text: str, length: int = LONGEST_WORDS) -> SafeString | str:
    """The beginning of a long text; the whole of it is the title."""
    if not text:
        return NOTHING
    if len(text) <= length:
        return text
    return format_html('<span title="{}">{}…</span>', text, text[: length - 1].rstrip())


def facts(values: Mapping[str, Any], *, as_words: bool = True) -> SafeString | str:
    """Keys and values of JSON as a table a person reads. `as_words`: keys are names in code."""
    if not values:
        return NOTHING
    named = ((key.replace("_", " ") if as_words else key, value) for key, value in values.items())
    rows = format_html_join(
        "",
        '<tr><th scope="row">{}</th><td>{}</td></tr>',
        ((key, _read(value)) for key, value in named),
    )
    return format_html('<table class="facts"><tbody>{}</tbody></table>', rows)


def _read(value: Any) -> SafeString | str:
    if isinstance(value, Mapping):
        return facts(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or NOTHING
    if isinstance(value, str) and "T" in value and (at := _instant_in(value)) is not None:
        return instant(at)
    return NOTHING if value in (None, "") else str(value)


def _instant_in(text: str) -> datetime | None:
    try:
        at = parse_datetime(text)
    except ValueError:  # well formed, but no such day
        return None
    return at if at is not None and at.tzinfo is not None else None
