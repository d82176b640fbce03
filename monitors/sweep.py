"""The loop of monitoring in one process: claim → probe → settle.

Claims never exceed the free slots. Probes run in the `Prober`'s thread and hold no turn at the
database; what they saw is settled in batches.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError

from hostmaster.core import logs
from hostmaster.core.jobs import leases
from monitors import claims, scheduling, settling
from monitors.claims import Claim
from monitors.models import MonitorKind, MonitorStatus
from monitors.outage import OutageWatch, Sighting, is_loopback, is_silent
from monitors.prober import Engine, Probe, Prober
from monitors.probes.types import Observation, failure
from monitors.settling import Result
from monitors.targets import UnusableConfigurationError, host_of, target_of

logger = logging.getLogger(__name__)

CLAIM_EVERY_SECONDS = 0.25
FOLLOW_EVERY_SECONDS = 1.0
SETTLE_EVERY_SECONDS = 0.25
HELD_BACK_SECONDS = 1.0
ALONE_SECONDS = 60.0
OVERDUE = "overdue"


@dataclass(slots=True)
class Held:
    """A claim of ours that is not settled yet, and when we got it by `time.monotonic`."""

    ticket: int
    claim: Claim
    host: str
    claimed_at: float

    def instant(self, monotonic: float) -> datetime:
        """By the database's clock, whatever this host's says."""
        return self.claim.claimed_at + timedelta(seconds=monotonic - self.claimed_at)

    def is_over(self) -> bool:
        return time.monotonic() - self.claimed_at > self.claim.lease_seconds


class Sweep:
    """One a process. `step()` is one round; call it again and again, from one thread at a time."""

    def __init__(self, make_engine: Callable[[int], Engine] | None = None) -> None:
        self.worker = leases.new_owner()
        self.due_until: datetime | None = None  # set: claims nothing that became due later
        self.concurrency = int(settings.MONITOR_CONCURRENCY)
        self._tenant_limit = int(settings.MONITOR_TENANT_CONCURRENCY)
        make = make_engine or _http_engine
        self._prober = Prober(
            lambda: make(self.concurrency), host_limit=int(settings.MONITOR_HOST_CONCURRENCY)
        )
        self._held: dict[Hashable, Held] = {}  # by ticket: a number is hashed faster than a UUID
        self._tickets = count()
        self._of_tenant: Counter[UUID] = Counter()
        self._tenants_seen: dict[UUID, float] = {}
        self._results: list[tuple[Held, Result]] = []
        self._watch = OutageWatch()
        self.tally: Counter[str] = Counter()  # outcomes of what was settled, since the start
        self._claimed_at = self._followed_at = self._settled_at = float("-inf")
        self._last_was_full = False

    @property
    def under_way(self) -> int:
        """Claims of ours that are not settled yet."""
        return len(self._held)

    def step(self, *, claiming: bool = True) -> int:
        """Collect, settle, claim, start, each if it is time. Answers how many checks it moved on.

        Raises `OperationalError` while the database is away; what was seen is kept for later.
        """
        self._collect()
        moved = self._settle_if_due()
        if claiming:
            moved += self._claim_if_due()
        return moved

    def settle_all(self) -> int:
        """Store what has landed, without waiting for more."""
        self._collect()
        settled = 0
        while self._results:
            settled += self._settle_batch()
        return settled

    def hand_back_all(self) -> None:
        """Give up what is under way, for whoever comes first."""
        self.settle_all()
        claims.hand_back([held.claim for held in self._held.values()])
        self._held.clear()
        self._of_tenant.clear()

    def close(self) -> None:
        self._prober.close()

    def _collect(self) -> None:
        busy = []
        for probe in self._prober.landed():
            held = self._held.get(probe.key)
            if held is None:
                continue  # handed back meanwhile
            if probe.observation is None:
                busy.append(held.claim)
                self._forget(held)
            else:
                self._take(held, probe.observation, probe)
        claims.hand_back(busy, after_seconds=HELD_BACK_SECONDS)

    def _take(self, held: Held, seen: Observation, probe: Probe | None = None) -> None:
        now = time.monotonic()
        started, ended = (probe.started_at, probe.ended_at) if probe else (now, now)
        ended_at = held.instant(ended)
        is_unseen = self._watch_outage(held, seen, ended_at)
        result = Result(held.claim, seen, held.instant(started), ended_at, is_unseen=is_unseen)
        self._results.append((held, result))

    def _watch_outage(self, held: Held, seen: Observation, at: datetime) -> bool:
        claim = held.claim
        was_up = claim.state == MonitorStatus.UP or claim.unseen_since is not None
        if not was_up or claim.kind == MonitorKind.PUSH or is_loopback(held.host):
            return False
        silent = is_silent(seen)
        self._watch.add(Sighting(at, held.host, silent))
        return silent and self._watch.is_ours(at)

    def _settle_if_due(self) -> int:
        waited = time.monotonic() - self._settled_at
        if not self._results:
            return 0
        if len(self._results) < settling.BATCH and waited < SETTLE_EVERY_SECONDS:
            return 0
        return self._settle_batch()

    def _settle_batch(self) -> int:
        batch, self._results = self._results[: settling.BATCH], self._results[settling.BATCH :]
        self._settled_at = time.monotonic()
        results = [result for _, result in batch]
        try:
            self.tally += settling.settle(results)
        except (OperationalError, InterfaceError):
            self._keep(batch)
            raise
        except Exception as error:  # noqa: BLE001 one result must not spoil the others
            logger.error("results are stored one by one: %s", logs.exception_text(error))
            self.tally += settling.settle_singly(results)
        for held, _ in batch:
            self._forget(held)
        return len(batch)

    def _keep(self, batch: Sequence[tuple[Held, Result]]) -> None:
        """For the next try, but for those that would come too late."""
        for held, result in batch:
            if held.is_over():
                self._forget(held)
            else:
                self._results.append((held, result))

    def _claim_if_due(self) -> int:
        now = time.monotonic()
        if now - self._followed_at >= FOLLOW_EVERY_SECONDS:
            self._followed_at = now
            scheduling.follow_enabled(batches=1)
        free = self.concurrency - len(self._held)
        if free <= 0 or (not self._last_was_full and now - self._claimed_at < CLAIM_EVERY_SECONDS):
            return 0
        self._claimed_at = time.monotonic()
        claimed = claims.claim_due(free, self.worker, due_until=self.due_until)
        self._last_was_full = len(claimed) == free
        self._start(claimed)
        return len(claimed)

    def _start(self, claimed: Sequence[Claim]) -> None:
        too_many, switched_off = [], []
        now = time.monotonic()
        self._tenants_seen.update(dict.fromkeys({claim.tenant_id for claim in claimed}, now))
        # The limit is there for the others: who has been alone for a while may use all slots.
        active = sum(now - seen < ALONE_SECONDS for seen in self._tenants_seen.values())
        limit = self._tenant_limit if active > 1 else self.concurrency
        for claim in claimed:
            if not claim.enabled:
                switched_off.append(claim)
            elif self._of_tenant[claim.tenant_id] >= limit:
                too_many.append(claim)
            else:
                self._begin(claim)
        claims.hand_back(too_many, after_seconds=HELD_BACK_SECONDS)
        if switched_off:
            claims.hand_back(switched_off)
            scheduling.follow_enabled([claim.key for claim in switched_off])

    def _begin(self, claim: Claim) -> None:
        held = Held(next(self._tickets), claim, host_of(claim.url), self._claimed_at)
        self._held[held.ticket] = held
        self._of_tenant[claim.tenant_id] += 1
        if claim.kind == MonitorKind.PUSH:
            self._take(held, _overdue(claim))
            return
        try:
            target = target_of(claim)
        except UnusableConfigurationError as error:
            self._take(held, failure("invalid", str(error)))
            return
        self._prober.start(Probe(held.ticket, target, held.host))

    def _forget(self, held: Held) -> None:
        if self._held.pop(held.ticket, None) is not None:
            self._of_tenant[held.claim.tenant_id] -= 1


def _overdue(claim: Claim) -> Observation:
    grace = claim.push_grace_seconds
    return failure(
        OVERDUE, f"Nobody called within {claim.interval_seconds} s and {grace} s of grace."
    )


def _http_engine(max_in_flight: int) -> Engine:
    # Imported by who probes: libcurl costs a process that only asks "is anything due?" 10 MB.
    from monitors.probes.http import HttpEngine

    return HttpEngine(max_in_flight, ca_bundle=str(settings.MONITOR_CA_BUNDLE))
