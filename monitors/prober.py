"""One thread a process that does all the probing, so that nothing that writes rows delays a
measurement, and no probe ends because a turn at the database did. It knows no database.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol

from hostmaster.core import logs
from monitors.probes.types import Observation, Target

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.02  # how long a new probe may wait for the loop
LONGEST_WAIT_SECONDS = 3.0  # for a busy host; a lease lasts many times as long
LOOK_EVERY_SECONDS = 0.25
PAUSE_SECONDS = 1.0  # after a failure of the engine, so that it does not fill the log


class Engine(Protocol):
    """What carries out many probes at once in one thread."""

    @property
    def in_flight(self) -> int: ...

    def add(self, key: Hashable, target: Target) -> None: ...

    def poll(self, seconds: float) -> list[tuple[Hashable, Observation]]: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class Probe:
    """One target on its way. Times are of `time.monotonic`. Landed without an observation: it was
    not carried out, because its host was busy or the engine failed."""

    key: Hashable
    target: Target
    host: str
    asked_at: float = 0.0
    started_at: float = 0.0
    ended_at: float = 0.0
    observation: Observation | None = None


class Prober:
    """Any thread may `start` probes and collect those that `landed`; each is given back once.

    `host_limit`: so many at once to one host; the next starts the moment one ends. What waits
    longer than three seconds is given back.
    """

    def __init__(self, make_engine: Callable[[], Engine], *, host_limit: int) -> None:
        self._make_engine = make_engine
        self._host_limit = host_limit
        self._new: deque[Probe] = deque()
        self._landed: deque[Probe] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        # Of the thread alone:
        self._under_way: dict[Hashable, Probe] = {}
        self._at_host: defaultdict[str, int] = defaultdict(int)
        self._waiting: dict[str, deque[Probe]] = {}
        self._looked_at = 0.0

    def start(self, probe: Probe) -> None:
        probe.asked_at = time.monotonic()
        self._new.append(probe)
        if self._thread is None:
            # A daemon: it holds nothing that must be saved, and must not keep a process alive.
            self._thread = threading.Thread(target=self._run, name="prober", daemon=True)
            self._thread.start()
        if not self._wake.is_set():
            self._wake.set()

    def landed(self) -> list[Probe]:
        """What came back since the last call."""
        return [self._landed.popleft() for _ in range(len(self._landed))]

    def close(self) -> None:
        """Drop what is under way and end the thread."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(5)

    def _run(self) -> None:
        engine: Engine | None = None
        while not self._closing:
            try:
                engine = engine or self._make_engine()
                self._turn(engine)
            except Exception as error:  # noqa: BLE001 the thread of everybody's checks
                logger.error("probes were lost: %s", logs.exception_text(error))
                self._give_all_back()
                engine = None
                time.sleep(PAUSE_SECONDS)
        if engine is not None:
            engine.close()

    def _turn(self, engine: Engine) -> None:
        self._wake.clear()
        while self._new:
            self._admit(self._new.popleft(), engine)
        if not engine.in_flight and not self._waiting:
            self._wake.wait(1.0)
            return
        for key, observation in engine.poll(POLL_SECONDS):
            self._land(key, observation, engine)
        self._give_up_waiting()

    def _admit(self, probe: Probe, engine: Engine) -> None:
        if self._at_host[probe.host] >= self._host_limit:
            self._waiting.setdefault(probe.host, deque()).append(probe)
        else:
            self._begin(probe, engine)

    def _begin(self, probe: Probe, engine: Engine) -> bool:
        """`False`: it has waited too long, perhaps while this whole process stood still, and its
        lease with it."""
        now = time.monotonic()
        if now - probe.asked_at > LONGEST_WAIT_SECONDS:
            self._landed.append(probe)
            return False
        self._at_host[probe.host] += 1
        self._under_way[probe.key] = probe
        probe.started_at = now
        engine.add(probe.key, probe.target)
        return True

    def _land(self, key: Hashable, observation: Observation, engine: Engine) -> None:
        probe = self._under_way.pop(key)
        probe.ended_at, probe.observation = time.monotonic(), observation
        self._landed.append(probe)
        self._at_host[probe.host] -= 1
        if not self._at_host[probe.host]:
            del self._at_host[probe.host]
        waiting = self._waiting.get(probe.host)
        while waiting and not self._begin(waiting.popleft(), engine):
            pass
        if waiting is not None and not waiting:
            del self._waiting[probe.host]

    def _give_up_waiting(self) -> None:
        now = time.monotonic()
        if not self._waiting or now - self._looked_at < LOOK_EVERY_SECONDS:
            return
        self._looked_at = now
        for host, waiting in list(self._waiting.items()):
            while waiting and now - waiting[0].asked_at > LONGEST_WAIT_SECONDS:
                self._landed.append(waiting.popleft())
            if not waiting:
                del self._waiting[host]

    def _give_all_back(self) -> None:
        self._landed.extend(self._under_way.values())
        for waiting in self._waiting.values():
            self._landed.extend(waiting)
        self._under_way.clear()
        self._waiting.clear()
        self._at_host.clear()
