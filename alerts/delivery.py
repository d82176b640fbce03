"""The drain `notifications`: claim, send outside any transaction, settle one by one.

Sends run in threads that touch no database. The next one begins when the last has landed, or when
it takes its time: what was sent and not yet written down is what a killed process sends twice, so
to fast receivers there is hardly ever more than one such message, and slow ones still overlap.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from django.db import connection
from django.db.models import Q
from django.utils import timezone

from alerts import claims, digests, incidents, settling
from alerts.channels import ready_config
from alerts.claims import LEASE, Claim
from alerts.messages import Digest, Message
from alerts.models.incidents import Incident
from alerts.models.notifications import (
    DeliveryAttempt,
    Event,
    Notification,
    NotificationState,
)
from alerts.suppression import Suppressions
from alerts.transports.base import SEND_SECONDS, ConfigError, Envelope, Outcome
from alerts.transports.catalogue import transport_for
from hostmaster.core import logs
from hostmaster.core.clock import DatabaseNow
from hostmaster.core.crypto import SealError
from hostmaster.core.jobs import drains, stopping
from hostmaster.core.jobs.drains import Turn
from hostmaster.core.jobs.leases import is_owner_dead
from hostmaster.core.jobs.models import ScheduleState
from hostmaster.core.jobs.schedules import JobReport

logger = logging.getLogger(__name__)

NAME = "notifications"
THREADS = 16
STAGGER_SECONDS = 0.1
SLOW_SECONDS = 0.25  # a message on its way for so long holds the next claim up no more
LAND_SECONDS = 0.2
EXPIRY_BATCH = 500
NOT_TOLD = "What came before about this incident was not told either."


def has_due() -> bool:
    """Something may be sent now, or a process died while it sent."""
    return claims.channels_with_work().exists() or bool(_lost(1))


def drain(turn: Turn) -> int:
    """Deliver what is due until `turn` is over; answers how many messages were tried."""
    for row, guard in _lost(EXPIRY_BATCH):
        settling.expire_attempt(row, guard)
    return Delivery(turn).run()


def run_notification() -> JobReport:
    """The schedule `notification`: what no doorbell brought, and the summary of all since."""
    since = ScheduleState.objects.filter(name="notification").values_list(
        "last_finished_at", flat=True
    )
    expire_old()
    drains.run_drain(NAME)
    tries = DeliveryAttempt.objects.filter(notification__isnull=False)
    last = since.first()
    if last is not None:
        tries = tries.filter(started_at__gt=last)
    sent = tries.filter(ok=True).count()
    total = tries.count()
    return JobReport(processed=total, succeeded=sent, failed=total - sent)


def expire_old() -> int:
    """Notifications whose time ran out while their channel was away: dead letters from here on."""
    late = claims.waiting().filter(deliver_by__lt=DatabaseNow())
    return sum(row.advance(NotificationState.EXPIRED) for row in late[:EXPIRY_BATCH])


def _lost(most: int) -> list[tuple[Notification, Q]]:
    """What is on its way by nobody: its lease is over, or its worker is known to be dead."""
    rows = Notification.objects.filter(state=NotificationState.SENDING).select_related("channel")
    found = [(row, Q(lease_until__lt=DatabaseNow())) for row in rows.expired()[:most]]
    keys = {row.pk for row, _ in found}
    for row in rows.exclude(pk__in=keys)[: EXPIRY_BATCH if len(found) < most else 0]:
        if is_owner_dead(row.lease_owner):
            found.append((row, Q(lease_owner=row.lease_owner)))
    return found[:most]


@dataclass(frozen=True)
class Landing:
    """A try that is over."""

    outcome: Outcome
    started_at: datetime
    ms: int


class Delivery:
    """One turn of the drain in this process."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._queue: deque[tuple[Claim, Envelope]] = deque()
        self._flights: dict[Future[Landing | None], Claim] = {}
        self._last: Future[Landing | None] | None = None
        self._took_off_at = 0.0
        self._results: Counter[str] = Counter()

    def run(self) -> int:
        try:
            while True:
                self._land()
                if self._may_claim():
                    self._queue.extend(self._claimed())
                if self._turn.is_over() and not _may_outlast():
                    break
                if not self._queue and not self._flights:
                    break
                self._take_off()
                if self._flights:
                    wait(self._flights, self._patience(), return_when=FIRST_COMPLETED)
        finally:
            self._leave()
        return sum(self._results.values())

    def _may_claim(self) -> bool:
        """A claim takes as long as several receivers do: what lands meanwhile would wait to be
        settled."""
        if self._queue or self._turn.is_over():
            return False
        return self._last not in self._flights or self._wait_left() < STAGGER_SECONDS - SLOW_SECONDS

    def _patience(self) -> float:
        """Until the next may take off, when one waits."""
        if not self._queue or len(self._flights) >= THREADS:
            return LAND_SECONDS
        return max(self._wait_left(), 0.001)

    def _wait_left(self) -> float:
        """Until the last one to take off counts as slow."""
        return self._took_off_at + STAGGER_SECONDS - time.monotonic()

    def _claimed(self) -> list[tuple[Claim, Envelope]]:
        room = THREADS - len(self._flights)
        return prepared(claims.claim_some(room)) if room > 0 else []

    def _take_off(self) -> None:
        if not self._queue or len(self._flights) >= THREADS:
            return
        if self._last in self._flights and self._wait_left() > 0:
            return
        self._launch()

    def _launch(self) -> None:
        """Also past the turn: what was claimed has used up a message of its channel's minute, and
        a digest may have cost more than a turn to put together."""
        claim, envelope = self._queue.popleft()
        if stopping.is_stopping() or _is_stale(claim):
            settling.hand_back(claim)
            return
        self._took_off_at = time.monotonic()
        self._last = _pool().submit(_send_claimed, claim, envelope)
        self._flights[self._last] = claim

    def _land(self) -> None:
        for future in [future for future in self._flights if future.done()]:
            claim = self._flights.pop(future)
            self._note(claim, _settled(claim, future))

    def _note(self, claim: Claim, landing: Landing | None) -> None:
        if landing is not None:
            self._results["sent" if landing.outcome.ok else "failed"] += 1

    def _leave(self) -> None:
        """What is claimed still goes out, and what is on its way lands by itself."""
        while self._queue:
            self._launch()
        for future, claim in self._flights.items():
            future.add_done_callback(_Straggler(claim))
        if self._results["sent"]:
            sent, failed = self._results["sent"], self._results["failed"]
            logger.info("Sent %d notifications", sent, extra={"sent": sent, "failed": failed})


class _Straggler:
    """Settles a message that outlasted its turn, in the thread that sent it."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._home = threading.get_ident()

    def __call__(self, future: Future[Landing | None]) -> None:
        try:
            _settled(self._claim, future)
        finally:
            if threading.get_ident() != self._home:
                connection.close()


def _send_claimed(claim: Claim, envelope: Envelope) -> Landing | None:
    """`None`: slow messages of an earlier turn held its thread for so long that its own lease
    might be over before it landed."""
    return None if _is_stale(claim) else send(claim.channel.type, envelope)


def send(channel_type: str, envelope: Envelope) -> Landing:
    """One try. Runs in a thread; touches no database."""
    started_at, clock = timezone.now(), time.monotonic()
    try:
        outcome = transport_for(channel_type).send(envelope)
    except Exception as error:  # noqa: BLE001 whatever a transport did not foresee is a failed try
        logger.error("a transport failed: %s", type(error).__name__)
        outcome = Outcome(False, error_class="internal", error="It could not be sent.")
    return Landing(outcome, started_at, round((time.monotonic() - clock) * 1000))


def prepared(found: list[Claim]) -> list[tuple[Claim, Envelope]]:
    """Envelopes of what is still to be told; the rest is suppressed with its reason."""
    if not found:
        return []
    told = {claim.leader.pk: [claim.leader] for claim in found}
    for row in Notification.objects.filter(digest__in=list(told)).waiting():
        told[row.digest_id].append(row)
    for rows in told.values():
        if len(rows) == 1:
            rows[0].know_alone()
    reasons = _reasons([row for rows in told.values() for row in rows])
    ready = []
    for claim in found:
        rows = _kept(claim, told[claim.leader.pk], reasons)
        envelope = _envelope(claim, rows) if rows else None
        if envelope is not None:
            ready.append((claim, envelope))
    return ready


def _kept(claim: Claim, rows: list[Notification], reasons: dict[object, str]) -> list[Notification]:
    """The rows of a message that are to be told; none when the one that leads it is not."""
    for row in rows[1:]:
        if reason := reasons.get(row.pk):
            row.advance(NotificationState.SUPPRESSED, suppress_reason=reason, digest=None)
    if reason := reasons.get(claim.leader.pk):
        settling.suppress(claim, reason)
        return []
    return [row for row in rows if row.pk not in reasons]


def _reasons(rows: list[Notification]) -> dict[object, str]:
    """Why not to tell, by row: judged now, whatever held when it was written."""
    about = Incident.objects.in_bulk(list({row.incident_id for row in rows}))
    for row in rows:
        if row.incident_id in about:
            row.incident = about[row.incident_id]
    # The beginning of an incident before its end: what keeps back the one keeps back the other.
    judged = sorted((row for row in rows if not row.is_replay), key=lambda row: row.seq)
    suppressions = Suppressions.load(about.values(), timezone.now())
    found: dict[object, str] = {}
    for row in judged:
        incident = about.get(row.incident_id)
        if incident is None:
            continue
        if row.event in (Event.OPENED, Event.REMINDER):
            reason = suppressions.of(incident).reason
        else:
            reason = _reason_of_silence_before(row, found)
        if reason:
            found[row.pk] = reason
            if row.event == Event.OPENED:
                incidents.keep_back(incident, reason)
    return found


def _reason_of_silence_before(row: Notification, kept_back: Collection[object]) -> str:
    """Nobody is told of the end of what he was not told of, `kept_back` just now or before."""
    if row.seq == 1:
        return ""
    earlier = Notification.objects.filter(
        incident=row.incident_id, channel=row.channel_id, seq__lt=row.seq
    ).values_list("pk", "state")
    states = {NotificationState.SUPPRESSED if pk in kept_back else state for pk, state in earlier}
    return NOT_TOLD if states == {NotificationState.SUPPRESSED} else ""


def _envelope(claim: Claim, rows: list[Notification]) -> Envelope | None:
    content: Message | Digest = digests.content_of(rows)
    channel = claim.channel
    until = channel.previous_secret_until
    try:
        config = ready_config(channel)
    except (ConfigError, SealError) as error:
        outcome = Outcome(
            False, error_class="config", error=logs.exception_text(error), is_refused=True
        )
        settling.settle(claim, outcome, timezone.now(), 0)
        return None
    return Envelope(
        content=content,
        message_id=claim.leader.message_id,
        config=config,
        signs_with_previous=until is not None and until > timezone.now(),
    )


def _settled(claim: Claim, future: Future[Landing | None]) -> Landing | None:
    landing = future.result()
    if landing is None:
        settling.hand_back(claim)
        return None
    if settling.settle(claim, landing.outcome, landing.started_at, landing.ms):
        return landing
    logger.warning("notification %s was taken away; its result is dropped", claim.leader.pk)
    return None


def _is_stale(claim: Claim) -> bool:
    """Its lease would be over before a slow receiver answers."""
    return time.monotonic() - claim.at > LEASE.total_seconds() - SEND_SECONDS - 5


def _may_outlast() -> bool:
    """On SQLite all drains share one lease: nobody waits for a slow receiver. Elsewhere the task
    ends with its last message."""
    return bool(connection.features.has_select_for_update_skip_locked)


def _pool() -> ThreadPoolExecutor:
    return _pool_of(os.getpid())


@cache
def _pool_of(pid: int) -> ThreadPoolExecutor:
    """One a process: threads do not survive a fork."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix="notifications")
