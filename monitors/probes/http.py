"""Many checks at once in one thread: HTTP, HTTPS and TCP over libcurl.

A `CurlMulti` belongs to the thread that made it, and so does its engine.
"""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Hashable, Sequence
from typing import Any, Final

import pycurl

from monitors.probes.addresses import AddressError, has_name, is_https
from monitors.probes.lanes import Lane
from monitors.probes.outcome import (
    late_message,
    observe_answer,
    observe_connection,
    observe_failure,
    observe_problem,
    parse_statuses,
    report_of,
)
from monitors.probes.transfer import Limits, TargetError, Transfer
from monitors.probes.trust import TrustStore
from monitors.probes.types import Observation, Target, failure

__all__ = ["HttpEngine", "Limits"]

logger = logging.getLogger(__name__)

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
# select() sees descriptors below 1,024 only; with more under way libcurl is asked this often.
_BLIND_WAIT_SECONDS: Final = 0.02
_BLIND_FROM: Final = 300
_NOTHING_TO_WAIT_FOR: Final = 0.002
SLOW_LOOKUP_SECONDS: Final = 1.0
_SLOW_LOOKUPS_A_LANE: Final = 8  # of 20 threads
_MAX_LANES: Final = 12
_CLOSE_SECONDS: Final = 0.2
_LATE_SECONDS: Final = 0.3  # libcurl ends a check at its time-out; we do when it does not


class HttpEngine:
    """Checks under way. `add` while there are `free_slots`, `poll` until it has given every key
    back with its observation. Whatever a target holds, it gives an observation and no error.

    `ca_bundle`: a PEM file of roots trusted beside the public ones. `pinned_names`: answers
    instead of DNS's, as libcurl's `name:port:address,address`.
    """

    def __init__(
        self,
        max_in_flight: int = 500,
        *,
        limits: Limits | None = None,
        ca_bundle: str = "",
        pinned_names: Sequence[str] = (),
    ) -> None:
        self.max_in_flight = max_in_flight
        self._limits = limits or Limits()
        self._pinned_names = list(pinned_names)
        self._trust = TrustStore(ca_bundle)
        self._lanes = [Lane()]
        self._under_way: dict[Any, Transfer] = {}
        self._idle: list[Transfer] = []
        self._done: list[tuple[Hashable, Observation]] = []
        self._timers: list[tuple[float, int, int, Transfer]] = []
        self._timer_number = 0

    def __enter__(self) -> HttpEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def in_flight(self) -> int:
        """Checks added and not given back yet."""
        return len(self._under_way) + len(self._done)

    @property
    def free_slots(self) -> int:
        return max(0, self.max_in_flight - self.in_flight)

    def add(self, key: Hashable, target: Target) -> None:
        """Start a check. Raises `RuntimeError` when there is no free slot."""
        if not self.free_slots:
            raise RuntimeError(f"{self.max_in_flight} checks are under way already")
        transfer = self._idle.pop() if self._idle else self._new_transfer()
        now = time.monotonic()
        try:
            parse_statuses(target.expected_status)
            transfer.prepare(key, target, now)
        except (AddressError, TargetError) as error:
            self._refuse(transfer, key, str(error))
        except (ValueError, TypeError, UnicodeError):
            self._refuse(transfer, key, "The settings of this check cannot be used.")
        else:
            self._start(transfer, now)

    def poll(self, seconds: float) -> list[tuple[Hashable, Observation]]:
        """Work for at most about `seconds`; the checks that ended, as soon as there is one."""
        until = time.monotonic() + seconds
        while True:
            for lane in tuple(self._lanes):
                lane.multi.perform()
                self._settle_ended(lane)
            now = time.monotonic()
            self._run_timers(now)
            if self._done or not self._under_way or now >= until:
                ended, self._done = self._done, []
                return ended
            self._wait(until - now)

    def close(self) -> None:
        """Drop what is under way and give everything back to the system."""
        for handle, transfer in self._under_way.items():
            transfer.lane.multi.remove_handle(handle)
            handle.close()
            transfer.serial += 1
        for transfer in self._idle:
            transfer.handle.close()
        self._under_way.clear()
        self._idle.clear()
        self._timers.clear()
        for lane in self._lanes:
            lane.close(_CLOSE_SECONDS)
        self._lanes.clear()
        self._trust.close()

    def _new_transfer(self) -> Transfer:
        return Transfer(self._limits, self._trust.path, self._pinned_names)

    def _refuse(self, transfer: Transfer, key: Hashable, message: str) -> None:
        self._idle.append(transfer)
        self._done.append((key, failure("invalid", message)))

    def _start(self, transfer: Transfer, now: float) -> None:
        """Begin a hop of `transfer`."""
        transfer.serial += 1  # timers of the hop before are void
        try:
            transfer.begin(now)
            transfer.lane = self._lanes[0]
            transfer.lane.add(transfer.handle)
        except (pycurl.error, ValueError, UnicodeError):
            self._finish(transfer, failure("invalid", "The address cannot be read."))
            return
        self._under_way[transfer.handle] = transfer
        self._set_timer(transfer, self._first_look(transfer))

    def _settle_ended(self, lane: Lane) -> None:
        more = True
        while more:
            more, good, bad = lane.multi.info_read()
            for handle in good:
                self._settle(handle, 0, "")
            for handle, code, text in bad:
                self._settle(handle, code, text)

    def _settle(self, handle: Any, code: int, text: str) -> None:
        transfer = self._under_way[handle]
        self._take_out(transfer)
        try:
            self._conclude(transfer, code, text)
        except Exception:  # the loop of everybody's checks: one answer must not end it
            logger.exception("A check failed by our own fault")
            self._finish(transfer, failure("internal", "The check failed by our own fault."))

    def _conclude(self, transfer: Transfer, code: int, text: str) -> None:
        if self._must_dial_again(transfer, code):
            self._start(transfer, time.monotonic())
            return
        transfer.add_times()
        if code:
            self._finish(transfer, observe_failure(transfer, code, text))
        elif transfer.target.only_connects:
            self._finish(transfer, observe_connection(transfer))
        elif self._is_redirect(transfer):
            self._follow(transfer)
        else:
            self._finish(transfer, observe_answer(transfer))

    def _must_dial_again(self, transfer: Transfer, code: int) -> bool:
        """Keep the certificate, if this check is to; a check that does not mind a bad one goes on
        without verification."""
        if not (transfer.wants_certificate and is_https(transfer.url)):
            return False
        is_bad = code == pycurl.E_PEER_FAILED_VERIFICATION
        if is_bad or handshake_is_done(transfer):
            transfer.certificate = report_of(transfer, verified=transfer.verifies and not is_bad)
        if not is_bad or transfer.is_trust_settled:
            return False
        transfer.is_trust_settled = True
        return True

    def _is_redirect(self, transfer: Transfer) -> bool:
        return (
            transfer.target.follow_redirects
            and transfer.has_location
            and transfer.handle.getinfo(pycurl.RESPONSE_CODE) in _REDIRECTS
        )

    def _follow(self, transfer: Transfer) -> None:
        url = transfer.handle.getinfo(pycurl.REDIRECT_URL) or ""
        status = transfer.handle.getinfo(pycurl.RESPONSE_CODE)
        problem = ""
        if not url.lower().startswith(("http://", "https://")):
            problem = "A redirect leads to no address of http or https."
        elif transfer.hops >= transfer.target.max_redirects:
            problem = f"More than {transfer.target.max_redirects} redirects."
        else:
            transfer.follow(url, status)
            if (transfer.method, url.partition("#")[0]) in transfer.visited:
                problem = "The redirects go round in a circle."
        if problem:
            self._finish(transfer, observe_problem(transfer, "redirect", problem))
        else:
            self._start(transfer, time.monotonic())

    def _take_out(self, transfer: Transfer) -> None:
        del self._under_way[transfer.handle]
        lane = transfer.lane
        lane.remove(transfer.handle)
        if lane.is_left and not lane.in_flight:
            self._lanes.remove(lane)
            lane.close()

    def _finish(self, transfer: Transfer, observation: Observation) -> None:
        transfer.serial += 1  # its timers are void
        self._done.append((transfer.key, observation))
        if transfer.target.only_connects:
            transfer.handle.close()  # the connection is the handle's until then
        else:
            transfer.chunks = []  # up to 1 MiB, and it may stay idle for long
            self._idle.append(transfer)

    def _first_look(self, transfer: Transfer) -> float:
        limits = self._limits
        if has_name(transfer.url):
            return transfer.started_at + SLOW_LOOKUP_SECONDS
        if transfer.deadline - transfer.started_at <= limits.header_seconds:
            return transfer.deadline + _LATE_SECONDS
        return transfer.started_at + limits.header_seconds

    def _set_timer(self, transfer: Transfer, at: float) -> None:
        self._timer_number += 1
        heapq.heappush(self._timers, (at, self._timer_number, transfer.serial, transfer))

    def _run_timers(self, now: float) -> None:
        while self._timers and self._timers[0][0] <= now:
            _, _, serial, transfer = heapq.heappop(self._timers)
            if transfer.serial == serial and transfer.handle in self._under_way:
                self._look_at(transfer, now)

    def _look_at(self, transfer: Transfer, now: float) -> None:
        """End a check whose headers or whose end are overdue, or say when to look again."""
        self._count_slow_lookup(transfer)
        limits, end = self._limits, transfer.deadline + _LATE_SECONDS
        if transfer.has_all_headers:
            due = look = end
        elif connected_after := transfer.connected_after():
            due = min(end, transfer.started_at + connected_after + limits.header_seconds)
            look = due
        else:
            due = end
            look = min(end, max(now + 0.5, transfer.started_at + limits.header_seconds))
        if now >= due:
            self._cut_off(transfer)
        else:
            self._set_timer(transfer, look)

    def _count_slow_lookup(self, transfer: Transfer) -> None:
        """libcurl looks names up in 20 threads of a `CurlMulti`, and a lookup of a name whose
        servers are silent holds one for 10 s, whatever the time-out of the check. Before such
        names take them all, and the names of everybody else with them, new checks get a lane with
        threads of its own."""
        lane = transfer.lane
        if transfer.has_slow_lookup or not transfer.is_looking_up():
            return
        transfer.has_slow_lookup = True
        lane.slow_lookups += 1
        is_full = lane.slow_lookups >= _SLOW_LOOKUPS_A_LANE
        if is_full and lane is self._lanes[0] and len(self._lanes) < _MAX_LANES:
            lane.is_left = True
            self._lanes.insert(0, Lane())

    def _cut_off(self, transfer: Transfer) -> None:
        self._take_out(transfer)
        message = late_message(transfer)
        transfer.add_times()
        self._finish(transfer, observe_problem(transfer, "timeout", message))

    def _wait(self, seconds: float) -> None:
        if self._timers:
            seconds = min(seconds, max(self._timers[0][0] - time.monotonic(), 0.0))
        due = self._lanes[0].multi.timeout()  # milliseconds, -1 for no matter
        if due >= 0:
            seconds = min(seconds, due / 1000)
        if len(self._under_way) >= _BLIND_FROM or len(self._lanes) > 1:
            seconds = min(seconds, _BLIND_WAIT_SECONDS)
        began = time.monotonic()
        ready = self._lanes[0].multi.select(seconds)
        # Without a descriptor (a name being looked up) select answers at once.
        if not ready and time.monotonic() - began < seconds / 2:
            time.sleep(min(seconds, _NOTHING_TO_WAIT_FOR))


def handshake_is_done(transfer: Transfer) -> bool:
    return bool(transfer.handle.getinfo(pycurl.APPCONNECT_TIME))
