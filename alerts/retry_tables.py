"""When a notification is tried again, and until when it is of use."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

JITTER = 0.2
LONGEST_WAIT = timedelta(hours=1)  # however long a server asks us to wait

_SECOND, _MINUTE, _HOUR = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours"))
# Delay before retry 1, 2, …; a first try comes before them.
CHAT_DELAYS = (
    *(5 * _SECOND, 30 * _SECOND),
    *(2 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE),
    *(1 * _HOUR, 2 * _HOUR, 4 * _HOUR),
)
# The table of the Standard Webhooks specification: ten tries in 75.6 hours.
WEBHOOK_DELAYS = (
    *(5 * _SECOND, 5 * _MINUTE, 30 * _MINUTE),
    *(2 * _HOUR, 5 * _HOUR, 10 * _HOUR, 14 * _HOUR, 20 * _HOUR, 24 * _HOUR),
)


def delays(channel_type: str) -> tuple[timedelta, ...]:
    return WEBHOOK_DELAYS if channel_type == "webhook" else CHAT_DELAYS


def attempts_allowed(channel_type: str) -> int:
    return len(delays(channel_type)) + 1


def deliver_by(channel_type: str, since: datetime) -> datetime:
    """A chat or mail that is half a day old helps nobody; a webhook's receiver keeps books.

    All tries fit in, however their waits are jittered: 90.7 h of webhooks, 9.3 h of others.
    """
    return since + timedelta(hours=96 if channel_type == "webhook" else 12)


def delay_before(channel_type: str, retry: int, *, asked: timedelta | None = None) -> timedelta:
    """`retry` is 1 for the first retry; `asked`: what the server's Retry-After says.

    Jittered by a fifth either way, so that what failed together does not come back together; never
    before the server wants it.
    """
    table = delays(channel_type)
    index = min(max(retry, 1), len(table)) - 1
    delay = table[index] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 no secret hangs on it
    return max(delay, min(asked or timedelta(), LONGEST_WAIT))


def jittered(wait: timedelta) -> timedelta:
    """Not before what a server asked for, at most an hour, and not all at the same instant."""
    return min(wait, LONGEST_WAIT) * random.uniform(1, 1 + JITTER)  # noqa: S311 no secret hangs on it
