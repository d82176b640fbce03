"""How many messages a channel gets: at most three in any minute, the rest told in one digest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from alerts.messages import Digest, Message, incidents_link, message_of
from alerts.models.channels import AlertChannel, ChannelType
from alerts.models.notifications import Event, Notification

GROUPED_MESSAGES = 3
MINUTE = timedelta(seconds=60)
# What the services bear from one webhook; a channel that is not grouped waits at this.
SERVICE_MESSAGES = {ChannelType.DISCORD.value: 30, ChannelType.SLACK.value: 60}
MOST_FOLDED = 5000  # rows of one digest


@dataclass(frozen=True)
class Window:
    """The messages of the last minute, against how many there may be (`None`: any number)."""

    limit: int | None
    recent: tuple[float, ...]
    now: datetime

    @classmethod
    def of(cls, channel: AlertChannel, now: datetime) -> Window:
        limit = GROUPED_MESSAGES if channel.is_grouped else SERVICE_MESSAGES.get(channel.type)
        oldest = (now - MINUTE).timestamp()
        recent = tuple(sorted(at for at in channel.recent_sends if at > oldest))
        return cls(limit, recent, now)

    def free(self, at_most: int) -> int:
        return at_most if self.limit is None else max(self.limit - len(self.recent), 0)

    def with_sends(self, count: int) -> Window:
        if self.limit is None:
            return self
        return Window(self.limit, (*self.recent, *[self.now.timestamp()] * count), self.now)

    def opens_at(self) -> datetime:
        """When the next message may go out."""
        if self.limit is None or len(self.recent) < self.limit:
            return self.now
        return datetime.fromtimestamp(self.recent[-self.limit], UTC) + MINUTE


def divide(
    waiting: Sequence[Notification], free: int
) -> tuple[list[Notification], list[Notification]]:
    """Which go out as messages of their own, and which are told together in one more.

    One that was tried before goes out as it was, under the same id: the receiver may have it. Of
    one incident only the earliest goes out by itself; the later ones wait for it.
    """
    ordered = sorted(waiting, key=lambda row: (row.created_at, row.seq))
    tried = [row for row in ordered if row.started_at is not None]
    fresh = [row for row in ordered if row.started_at is None]
    if len(ordered) <= free or (free == 1 and tried) or not fresh:
        return _earliest((*tried, *fresh))[:free], []
    alone = _earliest((*tried, *fresh))[: free - 1]
    busy = {row.incident_id for row in (*alone, *tried)}
    return alone, [row for row in fresh if row.incident_id not in busy]


def _earliest(rows: Iterable[Notification]) -> list[Notification]:
    """The first of each incident, in the order given."""
    first: dict[object, Notification] = {}
    for row in rows:
        known = first.setdefault(row.incident_id, row)
        if row.seq < known.seq:
            first[row.incident_id] = row
    return list(first.values())


def content_of(rows: Sequence[Notification]) -> Message | Digest:
    """What the message of `rows` says; the first lends its id. Of one incident the last word
    stands for all."""
    last: dict[str, Notification] = {}
    late: set[str] = set()
    for row in sorted(rows, key=lambda row: row.seq):
        incident = str(row.incident_id)
        if row.event == Event.RESOLVED and last.get(incident) is not None:
            late.add(incident)
        last[incident] = row
    messages = [
        message_of(row, was_told_late=incident in late)
        for incident, row in sorted(last.items(), key=lambda item: item[1].created_at)
    ]
    return messages[0] if len(messages) == 1 else Digest(messages, incidents_link())
