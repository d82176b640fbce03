"""State intervals: one open a monitor, closed when the next begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from monitors.models import MonitorStateInterval, MonitorStatus
from monitors.storage import dialect

_CLOSE = "UPDATE monitor_state_intervals SET ended_at = %s WHERE id = %s"


@dataclass(frozen=True, slots=True)
class Change:
    """From `since` a monitor is in `state`. `unseen_from`: nobody looked from then to `since`."""

    key: UUID
    state: str
    since: datetime
    reason: str = ""
    unseen_from: datetime | None = None


def record(changes: Sequence[Change]) -> None:
    """Write `changes`, at most one a monitor, in the caller's transaction. A state that is entered
    again without a gap goes on."""
    rows = MonitorStateInterval.objects.filter(
        monitor_id__in=[change.key for change in changes], ended_at=None
    )
    open_rows = {row.monitor_id: row for row in rows}
    closing: list[tuple[Any, int]] = []
    opening: list[MonitorStateInterval] = []
    for change in changes:
        current = open_rows.get(change.key)
        if current and current.state == change.state and change.unseen_from is None:
            continue
        since = change.since
        if current:
            since = max(since, current.started_at)
            ends_at = max(change.unseen_from or since, current.started_at)
            closing.append((dialect().instant(ends_at), current.pk))
            if change.unseen_from and ends_at < since:
                opening.append(_unseen(change.key, ends_at, since))
        opening.append(
            MonitorStateInterval(
                monitor_id=change.key, state=change.state, started_at=since, reason=change.reason
            )
        )
    if closing:
        with connection.cursor() as cursor:
            cursor.executemany(_CLOSE, closing)
    MonitorStateInterval.objects.bulk_create(opening)


def _unseen(key: UUID, since: datetime, until: datetime) -> MonitorStateInterval:
    return MonitorStateInterval(
        monitor_id=key,
        state=MonitorStatus.UNKNOWN,
        started_at=since,
        ended_at=until,
        reason="No worker was running.",
    )
