"""Telling our own outage from theirs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from monitors.outage import OutageWatch, Sighting, is_loopback, is_silent
from monitors.probes.types import Observation, Phases

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def watch(silent: int, fine: int, hosts: int, *, age_seconds: float = 1) -> OutageWatch:
    made = OutageWatch()
    at = NOW - timedelta(seconds=age_seconds)
    for number in range(silent + fine):
        made.add(Sighting(at, f"host{number % hosts}.example", number < silent))
    return made


@pytest.mark.parametrize(
    ("silent", "fine", "hosts", "is_ours"),
    [
        (20, 0, 5, True),
        (18, 2, 5, True),
        (19, 0, 5, False),  # too few monitors
        (17, 3, 5, False),  # too many answered
        (20, 0, 4, False),  # too few hosts: perhaps one provider's outage
        (900, 99, 50, True),
        (900, 101, 50, False),
    ],
)
def test_it_is_us_when_nearly_everything_falls_silent(
    silent: int, fine: int, hosts: int, is_ours: bool
) -> None:
    assert watch(silent, fine, hosts).is_ours(NOW) is is_ours


def test_what_was_seen_ten_seconds_ago_is_forgotten() -> None:
    seen = watch(50, 0, 10, age_seconds=11)
    assert not seen.is_ours(NOW)
    assert not seen.is_ours(NOW)


@pytest.mark.parametrize(
    ("observation", "silent"),
    [
        (Observation(True), False),
        (Observation(False, "dns", "The host name is not known."), True),
        (Observation(False, "connect", "The network of the host cannot be reached."), True),
        (
            Observation(False, "connect", "Nothing listens there: the connection was refused."),
            False,
        ),
        (Observation(False, "timeout", "No connection within 10 s."), True),
        (Observation(False, "timeout", "No answer.", phases=Phases(dns_ms=1, connect_ms=2)), False),
        (Observation(False, "status", "The status is 503."), False),
        (Observation(False, "tls", "The TLS handshake failed."), False),
    ],
)
def test_signs_of_life(observation: Observation, silent: bool) -> None:
    assert is_silent(observation) is silent


def test_loopback_says_nothing_about_a_network() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.9.9.9", "localhost", "::1"]))
    assert not is_loopback("example.com")
