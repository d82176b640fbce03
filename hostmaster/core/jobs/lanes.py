"""The three lanes, each a django-q2 cluster of its own, so slow work never delays alerts.

Settings read this module, so it imports nothing of Django.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Lane(StrEnum):
    ALERTS = "alerts"  # evaluation, deliveries, health: nothing over 2 s but a transport's time-out
    DEFAULT = "default"  # drains, roll-ups, retention
    SCANS = "scans"  # AWS scans, URL scans, approved changes


@dataclass(frozen=True)
class LaneSize:
    workers: int
    timeout_seconds: int
    recycle: int  # tasks after which a worker leaves and gives its memory back


def cluster_settings(
    sizes: dict[Lane, LaneSize], *, poll_seconds: float, **broker: Any
) -> dict[str, Any]:
    """`Q_CLUSTER` for all lanes. `broker`: the keys that choose django-q2's broker.

    The queue carries doorbells only, hence: never tried twice (`max_attempts` 1, failures
    acknowledged), no result kept on success, our ticker instead of its 30 s scheduler.
    """
    lanes = {lane.value: _lane_settings(size) for lane, size in sizes.items()}
    return {
        "name": Lane.DEFAULT.value,
        "label": "Task queue",
        **lanes.pop(Lane.DEFAULT.value),
        "bulk": 1,
        "save_limit": -1,
        "ack_failures": True,
        "max_attempts": 1,
        "catch_up": False,
        "scheduler": False,
        "poll": poll_seconds,
        "guard_cycle": 0.5,  # its countdown tests for exactly 0: 0.3 steps over it
        "max_rss": 1_000_000,  # kB
        "log_level": "WARNING",
        "ALT_CLUSTERS": lanes,
        **broker,
    }


def _lane_settings(size: LaneSize) -> dict[str, Any]:
    return {
        "workers": size.workers,
        "queue_limit": size.workers,
        "timeout": size.timeout_seconds,
        "retry": 4 * size.timeout_seconds,  # > timeout × (queue_limit / workers + 2)
        "recycle": size.recycle,
    }
