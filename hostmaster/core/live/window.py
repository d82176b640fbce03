"""Reading on: each event once, in the order it became visible.

Keys are drawn in order but commit in any, so a reader that goes on behind the highest key it saw
skips what commits late. It looks back for `OVERLAP` instead, and knows what it has seen there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from hostmaster.core.clock import database_now
from hostmaster.core.live.models import LiveEvent
from hostmaster.core.live.services import OVERLAP

BATCH = 1000


@dataclass(frozen=True)
class Told:
    """An event as a stream sends it."""

    pk: int
    tenant_id: UUID
    topic: str
    data: dict[str, Any]


class Window:
    """What is new since the last look, by the database's clock. Of one thread."""

    def __init__(self, tenant_id: UUID | None = None) -> None:
        """`tenant_id`: its events alone."""
        events = LiveEvent.objects.all()
        self._events = events if tenant_id is None else events.filter(tenant_id=tenant_id)
        self._seen: dict[int, float] = {}  # key → when it was read
        self._read_at = 0.0  # 0: nothing was read yet

    @property
    def is_primed(self) -> bool:
        """Somebody has looked: what comes from now on is told."""
        return bool(self._read_at)

    def read(self) -> list[Told]:
        """What became visible since the last call, at most `BATCH` events; at the first call, what
        is there already."""
        now = time.monotonic()
        # After an outage of the database: back to where it began.
        gap = timedelta(seconds=now - self._read_at) if self._read_at else timedelta()
        recent = self._events.filter(at__gte=database_now(-(OVERLAP + gap)))
        keys = [pk for pk in recent.values_list("pk", flat=True) if pk not in self._seen]
        fields = ("pk", "tenant_id", "topic", "data")
        new = self._events.filter(pk__in=keys[:BATCH]).order_by("pk").values_list(*fields)
        found = [Told(*row) for row in new]
        oldest = now - 2 * OVERLAP.total_seconds()
        self._seen = {pk: at for pk, at in self._seen.items() if at > oldest}
        self.note(event.pk for event in found)
        if len(keys) <= BATCH:
            self._read_at = now
        return found

    def note(self, keys: Iterable[int]) -> None:
        """These were told in another way."""
        self._seen.update(dict.fromkeys(keys, time.monotonic()))
