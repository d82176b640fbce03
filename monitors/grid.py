"""When a monitor is due: fixed slots of its own, so that nothing drifts and no herd forms."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zlib import crc32

JITTER = 0.2


def phase_ms(key: UUID, interval_seconds: int) -> int:
    """Where in its interval a monitor is checked: the same after each restart."""
    return crc32(key.bytes) % (interval_seconds * 1000)


def next_slot(key: UUID, interval_seconds: int, now: datetime) -> datetime:
    """The first slot after `now`: phase + n × interval. Missed ones are skipped, not caught up."""
    interval = interval_seconds * 1000
    phase = phase_ms(key, interval_seconds)
    elapsed = int(now.timestamp() * 1000) - phase
    return datetime.fromtimestamp((phase + interval * (elapsed // interval + 1)) / 1000, UTC)


def recheck_at(retry_interval_seconds: float, now: datetime) -> datetime:
    """The time of a fast re-check, spread by ± 20 %."""
    factor = 1 + random.uniform(-JITTER, JITTER)  # noqa: S311 spreads load, keeps no secret
    return now + timedelta(seconds=retry_interval_seconds * factor)


def after(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=seconds)
