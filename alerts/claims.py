"""Taking notifications for this process: few at a time, in order, as each channel may get them.

The channel's row is locked meanwhile, so its breaker, its three messages a minute and what is on
its way are one truth, whoever else delivers. A channel that another process holds is passed over.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from alerts import digests
from alerts.digests import Window
from alerts.models.channels import AlertChannel
from alerts.models.notifications import Event, Notification, NotificationState
from hostmaster.core.clock import DatabaseNow
from hostmaster.core.jobs.leases import new_owner

LEASE = timedelta(seconds=60)  # longer than any transport takes for one message
MOST_ON_THE_WAY = 4  # of one channel at once, by all processes
MERGES_AFTER = timedelta(minutes=2)
CHUNK = 500

OPEN = [state.value for state in (NotificationState.PENDING, NotificationState.SENDING)]


@dataclass(frozen=True)
class Claim:
    """One message to send: the row it goes under, and those it tells besides."""

    channel: AlertChannel
    leader: Notification
    is_probe: bool = False  # lets a breaker's channel show whether it is back
    at: float = field(default_factory=time.monotonic)
    # What it took of its channel, for one that is not sent to give back.
    counted_as: float | None = None  # in `recent_sends`
    closed_until: datetime | None = None  # `next_send_at`


def waiting() -> QuerySet[Notification]:
    """To be sent under their own name, whenever their time comes."""
    return Notification.objects.filter(state=NotificationState.PENDING, digest__isnull=True)


def in_order() -> Q:
    """Nothing earlier about the same incident is still to go to the same channel."""
    earlier = Notification.objects.filter(
        incident=OuterRef("incident"),
        channel=OuterRef("channel"),
        seq__lt=OuterRef("seq"),
        state__in=OPEN,
    ).exclude(digest=OuterRef("pk"))
    return Q(~Exists(earlier))


def channels_with_work() -> QuerySet[AlertChannel]:
    """Those that may be sent to now, and that something is due for."""
    mine = waiting().filter(in_order(), channel=OuterRef("pk"))
    is_due = Q(Exists(mine.filter(run_at__lte=DatabaseNow())))
    # An open breaker has its own clock: when that is over any message will do to ask.
    may_probe = Q(breaker_seconds__gt=0) & Q(Exists(mine))
    sending = Notification.objects.filter(channel=OuterRef("pk"), state=NotificationState.SENDING)
    is_free = Q(failures_in_row=0) | Q(~Exists(sending))
    return AlertChannel.objects.filter(is_due | may_probe, is_free, next_send_at__lte=DatabaseNow())


def claim_some(room: int) -> list[Claim]:
    """About `room` messages of as many channels as have some. In no order among the channels: none
    may starve another."""
    found: list[Claim] = []
    keys = channels_with_work().order_by("?").values_list("pk", flat=True)
    for key in keys[:room]:
        found += claim_from(key, room - len(found))
        if len(found) >= room:
            break
    return found


def claim_from(channel_id: Any, room: int) -> list[Claim]:
    """What may go out now by this channel, claimed; nothing while another process is at it."""
    with transaction.atomic():
        channel = _locked(channel_id)
        if channel is None:
            return []
        now: datetime = channel.now  # type: ignore[attr-defined]  # annotated below
        if channel.next_send_at > now:
            return []
        if not channel.enabled:
            _suppress_all(channel)
            return []
        is_probe = channel.is_breaker_open
        room = min(room, _room(channel, is_probe=is_probe))
        return _claim(channel, now, room, is_probe=is_probe) if room > 0 else []


def _locked(channel_id: Any) -> AlertChannel | None:
    """Under lock, with the database's time as `now`. SQLite's transaction is a lock by itself.

    Not against new rows that refer to it: an incident may owe it something meanwhile.
    """
    channels = AlertChannel.objects.filter(pk=channel_id).annotate(now=DatabaseNow())
    if connection.features.has_select_for_update_skip_locked:
        channels = channels.select_for_update(skip_locked=True, no_key=True)
    return channels.first()


def _room(channel: AlertChannel, *, is_probe: bool) -> int:
    on_the_way = Notification.objects.filter(
        channel=channel, state=NotificationState.SENDING
    ).count()
    if is_probe:
        return 1
    # One that has just failed is asked by one message at a time.
    return (1 if channel.failures_in_row else MOST_ON_THE_WAY) - on_the_way


def _claim(channel: AlertChannel, now: datetime, room: int, *, is_probe: bool) -> list[Claim]:
    window = Window.of(channel, now)
    free = min(window.free(room), room) if not channel.is_grouped else window.free(room)
    if is_probe:
        free = min(free, 1)
    if free <= 0:
        _hold_until(channel, window, now)
        return []
    most = digests.MOST_FOLDED if channel.is_grouped else free
    candidates = _merged(channel, _candidates(channel, now, most, is_probe=is_probe), now)
    candidates = _without_expired(candidates, now)
    together: list[Notification] = []
    alone = candidates[:free]
    if channel.is_grouped:
        alone, together = digests.divide(candidates, free)
    taken = [row for row in (*alone, *together[:1]) if _take(row, now)]
    if together and together[0] in taken:
        fold(together[0], together[1:])
    if not taken:
        return []
    _use(channel, window.with_sends(len(taken)), now, is_probe=is_probe)
    counted_as = None if window.limit is None else now.timestamp()
    until = channel.next_send_at
    return [
        Claim(channel, row, is_probe, counted_as=counted_as, closed_until=until) for row in taken
    ]


def _use(channel: AlertChannel, window: Window, now: datetime, *, is_probe: bool) -> None:
    """Write down what its minute has left, and that nobody else asks while a probe is on its
    way."""
    if window.limit is not None:
        channel.recent_sends = list(window.recent[-window.limit :])
        channel.next_send_at = max(window.opens_at(), channel.next_send_at)
    if is_probe:
        channel.next_send_at = now + LEASE
    if is_probe or window.limit is not None:
        channel.save(update_fields=["recent_sends", "next_send_at"])


def _hold_until(channel: AlertChannel, window: Window, now: datetime) -> None:
    if window.opens_at() > now:
        AlertChannel.objects.filter(pk=channel.pk).update(next_send_at=window.opens_at())


def _candidates(
    channel: AlertChannel, now: datetime, most: int, *, is_probe: bool
) -> list[Notification]:
    """The oldest first. In a digest the later words about an incident go with the earlier ones."""
    rows = waiting().filter(channel=channel)
    if not is_probe:
        rows = rows.filter(run_at__lte=now)
    rows = rows.filter(_foldable(now, is_probe=is_probe) if channel.is_grouped else in_order())
    return list(rows.order_by("run_at", "seq")[:most])


def _foldable(now: datetime, *, is_probe: bool) -> Q:
    """Nothing earlier about the same incident is on its way, promised to a digest or not due."""
    busy = Q(state=NotificationState.SENDING) | Q(digest__isnull=False)
    if not is_probe:
        busy |= Q(run_at__gt=now)
    earlier = Notification.objects.filter(
        busy,
        incident=OuterRef("incident"),
        channel=OuterRef("channel"),
        seq__lt=OuterRef("seq"),
        state__in=OPEN,
    ).exclude(digest=OuterRef("pk"))
    return Q(~Exists(earlier))


def _merged(
    channel: AlertChannel, rows: Sequence[Notification], now: datetime
) -> list[Notification]:
    """An opening that waited for long while its incident was resolved is told by the resolution
    alone: "lasted 12 min, resolved"."""
    late = {row.incident_id for row in rows if _is_late(row, now)}
    if not late:
        return list(rows)
    ends = {
        row.incident_id: row
        for row in waiting().filter(channel=channel, incident__in=late, event=Event.RESOLVED)
    }
    kept: dict[Any, Notification] = {}
    for row in rows:
        end = ends.get(row.incident_id)
        if end is None or not _is_late(row, now) or row.seq >= end.seq:
            kept.setdefault(row.pk, row)
            continue
        earlier = waiting().filter(channel=channel, incident=row.incident_id, seq__lt=end.seq)
        fold(end, list(earlier))
        kept[end.pk] = end
    return [row for row in kept.values() if row.digest_id is None]


def _is_late(row: Notification, now: datetime) -> bool:
    return (
        row.event != Event.RESOLVED
        and not row.is_replay
        and (row.event == Event.REMINDER or now - row.created_at > MERGES_AFTER)
    )


def _without_expired(rows: Iterable[Notification], now: datetime) -> list[Notification]:
    kept = []
    for row in rows:
        if row.deliver_by is not None and row.deliver_by <= now:
            row.advance(NotificationState.EXPIRED)
        else:
            kept.append(row)
    return kept


def _take(row: Notification, now: datetime) -> bool:
    return row.take(
        Q(),
        actor="",
        attempts=row.attempts + 1,
        lease_owner=new_owner(),
        lease_until=now + LEASE,
        started_at=timezone.now(),
    )


def fold(leader: Notification, rows: Sequence[Notification]) -> None:
    """Promise `rows`, and what they tell themselves, to the message of `leader`."""
    keys = [row.pk for row in rows if row.pk != leader.pk]
    for start in range(0, len(keys), CHUNK):
        chunk = keys[start : start + CHUNK]
        waiting().filter(pk__in=chunk).update(digest=leader)
        Notification.objects.filter(digest__in=chunk).update(digest=leader)
    for row in rows:
        if row.pk != leader.pk:
            row.digest = leader


def _suppress_all(channel: AlertChannel) -> None:
    reason = channel.disabled_reason or "The channel is switched off."
    for row in waiting().filter(channel=channel)[:CHUNK]:
        row.advance(NotificationState.SUPPRESSED, suppress_reason=reason)
