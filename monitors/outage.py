"""Is it them, or is it us? When nearly everything fails at once, our own network is down.

Every process that probes remembers the last ten seconds of what it saw. If at least 20 monitors on
at least 5 hosts that had been up were checked in that time, and 90 % of them failed without any
sign of life (no address for the name, no route, silence), then those checks say nothing about the
monitors: they are stored with the error code `own_outage`, the monitors become unknown, and nobody
is told that they are down.

A refused or broken connection is a sign of life: something on the other side answered. Loopback
addresses say nothing about a network. An installation with fewer monitors than that cannot tell,
and reports what it saw; so does the first check of each monitor without a re-check (`retries` 0).
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from typing import NamedTuple

from monitors.probes.types import Observation

OWN_OUTAGE = "own_outage"
MESSAGE = "Most checks failed at the same time: our own network was probably down."
WINDOW = timedelta(seconds=10)
MONITORS, HOSTS, SHARE = 20, 5, 0.9

_SILENT_CODES = frozenset({"dns", "connect", "timeout"})


class Sighting(NamedTuple):
    """One check of a monitor that had been up."""

    at: datetime
    host: str
    is_silent: bool


class OutageWatch:
    """The sightings of the last seconds in this process."""

    def __init__(self) -> None:
        self._sightings: deque[Sighting] = deque()
        self._silent = 0

    def add(self, sighting: Sighting) -> None:
        """In about the order of time."""
        self._sightings.append(sighting)
        self._silent += sighting.is_silent

    def is_ours(self, now: datetime) -> bool:
        """What fails silently now fails because of us."""
        while self._sightings and self._sightings[0].at < now - WINDOW:
            self._silent -= self._sightings.popleft().is_silent
        if self._silent < max(MONITORS * SHARE, SHARE * len(self._sightings)):
            return False
        if len(self._sightings) < MONITORS:
            return False
        return len({seen.host for seen in self._sightings if seen.is_silent}) >= HOSTS


def is_silent(observation: Observation) -> bool:
    """No sign of life came back: no address, no route, no answer to the first packet."""
    if observation.success or observation.error_code not in _SILENT_CODES:
        return False
    if observation.error_code == "timeout":
        return observation.phases is None or observation.phases.connect_ms is None
    return "refused" not in observation.error_message


def is_loopback(host: str) -> bool:
    return host == "localhost" or host.startswith("127.") or host in {"::1", "[::1]"}
