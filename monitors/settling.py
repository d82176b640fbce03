"""From observations to rows: one short transaction for up to 200 results.

Runs are locked first, and only those that are still ours (`seq`) and still as they were probed
(`version`) go on. Then, in this order: checks, runs, roll-ups, transitions, live events, counters.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from hostmaster.core.jobs import doorbells
from hostmaster.core.live.services import publish_many
from hostmaster.core.metrics import services as metrics
from monitors import grid, intervals, writing
from monitors.claims import Claim, hand_back
from monitors.models import Monitor, MonitorKind, MonitorStatus
from monitors.outage import MESSAGE, OWN_OUTAGE
from monitors.probes.types import Observation
from monitors.states import Outcome, Standing, Verdict, judge
from monitors.storage import dialect

logger = logging.getLogger(__name__)

BATCH = 200
BELL_FAILURES = 5  # rules that count failures are judged with each of the first, not once a minute
EXPIRY_NEAR_DAYS = 60
NOT_ALLOWED = "not_allowed"

_MINE = """
SELECT r.monitor_id, r.seq, m.version, m.enabled
FROM monitor_runs r JOIN monitors m ON m.id = r.monitor_id
WHERE r.monitor_id IN ({marks}) ORDER BY r.monitor_id {lock}
"""

_STATUS = "UPDATE monitors SET status = %s, status_since = %s, status_reason = %s WHERE id = %s"


@dataclass(frozen=True, slots=True)
class Result:
    """What a claimed monitor's probe saw. Instants are by the database's clock. `is_unseen`: it
    failed because of us."""

    claim: Claim
    observation: Observation
    checked_at: datetime
    ended_at: datetime
    is_unseen: bool = False

    @property
    def outcome(self) -> Outcome:
        if self.is_unseen:
            return Outcome.UNSEEN
        return Outcome.SUCCESS if self.observation.success else Outcome.FAILURE

    @property
    def error_code(self) -> str:
        return OWN_OUTAGE if self.is_unseen else self.observation.error_code

    @property
    def error_message(self) -> str:
        # PostgreSQL takes no NUL in a text, and a server may send one.
        text = MESSAGE if self.is_unseen else self.observation.error_message
        return text.replace("\x00", "")


@dataclass(frozen=True, slots=True)
class Judged:
    """A result that counts, what it makes of the monitor, and when to look next."""

    result: Result
    verdict: Verdict
    next_check_at: datetime

    @property
    def claim(self) -> Claim:
        return self.result.claim

    @property
    def unseen_since(self) -> datetime | None:
        """Since when our own outage hides a monitor that was up."""
        if not self.result.is_unseen or self.claim.state == MonitorStatus.DOWN:
            return None
        return self.claim.unseen_since or self.result.checked_at

    @property
    def unseen_from(self) -> datetime | None:
        """Since when nobody looked, if that was for longer than the interval and a lease."""
        claim = self.claim
        was_seen = claim.state in {"up", "down"}
        patience = claim.interval_seconds + claim.lease_seconds
        return claim.due_at if was_seen and claim.late_seconds > patience else None


def settle(results: Sequence[Result]) -> Counter[str]:
    """Store at most `BATCH` results; answers how many by outcome. Those that are `dropped` lost
    their lease, or were edited, paused or deleted meanwhile, and change nothing."""
    with transaction.atomic():
        valid, outdated = _sort(results)
        judged = [_judge(result) for result in valid]
        if judged:
            writing.write_checks(valid)
            writing.write_runs(judged)
            writing.add_to_rollups(valid)
            _tell(judged)
        hand_back([result.claim for result in outdated], after_seconds=1)
        outcomes = Counter(one.result.outcome.value for one in judged)
        outcomes += Counter(dropped=len(results) - len(valid))
        _count(outcomes, judged)
    return outcomes


def _sort(results: Sequence[Result]) -> tuple[list[Result], list[Result]]:
    """Those that count; and those whose monitor was edited while it was probed."""
    key_of = dialect().key
    current = _lock([key_of(result.claim.key) for result in results])
    valid: list[Result] = []
    outdated: list[Result] = []
    for result in results:
        claim = result.claim
        seq, version, enabled = current.get(key_of(claim.key), (None, 0, False))
        if seq != claim.seq:
            continue
        is_current = version == claim.version and enabled
        (valid if is_current else outdated).append(result)
    return valid, outdated


def _lock(keys: list[Any]) -> dict[Any, tuple[int, int, bool]]:
    """Until the commit nobody claims or edits these runs, or deletes their monitors."""
    can_lock = connection.features.has_select_for_update_of
    statement = _MINE.format(
        marks=", ".join(["%s"] * len(keys)),
        lock="FOR UPDATE OF r FOR KEY SHARE OF m" if can_lock else "",
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, keys)
        return {key: (seq, version, bool(on)) for key, seq, version, on in cursor.fetchall()}


def _judge(result: Result) -> Judged:
    claim = result.claim
    is_push = claim.kind == MonitorKind.PUSH
    verdict = judge(
        Standing(claim.state, claim.failures, claim.successes, claim.pending_since),
        result.outcome,
        result.checked_at,
        retries=0 if is_push else claim.retries,
        successes_before_up=1 if is_push else claim.successes_before_up,
    )
    return Judged(result, verdict, _next_check_at(result, verdict))


def _next_check_at(result: Result, verdict: Verdict) -> datetime:
    claim = result.claim
    if claim.kind == MonitorKind.PUSH:
        grace = claim.push_grace_seconds if result.observation.success else 0
        return grid.after(result.ended_at, claim.interval_seconds + grace)
    slot = grid.next_slot(claim.key, claim.interval_seconds, result.ended_at)
    if verdict.is_pending or result.is_unseen:
        return min(slot, grid.recheck_at(claim.retry_interval_seconds, result.ended_at))
    return slot


def _tell(judged: Sequence[Judged]) -> None:
    """Intervals, the monitors' status, live events and the alerts' bell, for what changed."""
    moved = [one for one in judged if one.verdict.changed_at or one.unseen_from]
    if moved:
        intervals.record([_change(one) for one in moved])
    _show([one for one in moved if one.verdict.changed_at])
    ringing = [str(one.claim.key) for one in judged if _is_worth_a_bell(one)]
    if ringing:
        doorbells.ring(doorbells.ALERTS_EVALUATE, Monitor._meta.label, ",".join(ringing))


def _change(one: Judged) -> intervals.Change:
    since = one.verdict.changed_at or one.result.checked_at
    if one.unseen_from:
        since = max(since, one.result.checked_at)
    reason = one.result.error_message
    return intervals.Change(one.claim.key, one.verdict.state, since, reason, one.unseen_from)


def _show(moved: Sequence[Judged]) -> None:
    if not moved:
        return
    kept = dialect()
    with connection.cursor() as cursor:
        cursor.executemany(
            _STATUS,
            [
                (
                    one.verdict.state,
                    kept.instant(one.verdict.changed_at),
                    one.result.error_message,
                    kept.key(one.claim.key),
                )
                for one in moved
            ],
        )
    publish_many((one.claim.tenant_id, "monitor", _live(one)) for one in moved)


def _live(one: Judged) -> dict[str, str]:
    return {
        "id": str(one.claim.key),
        "name": one.claim.name,
        "status": one.verdict.state,
        "was": one.claim.state,
        "reason": one.result.error_message,
    }


def _is_worth_a_bell(one: Judged) -> bool:
    verdict, claim = one.verdict, one.claim
    if verdict.changed_at or 0 < verdict.failures <= BELL_FAILURES:
        return True
    is_over = one.result.outcome is Outcome.SUCCESS and claim.failures > 0
    return is_over or certificate_changed(one.result)


def certificate_changed(result: Result) -> bool:
    """It turned bad or good, was replaced, or came a day nearer to an end that is near."""
    claim, report = result.claim, result.observation.certificate
    if report is None:
        return False
    if (report.valid, report.expires_at) != (claim.ssl_valid, claim.ssl_expires_at):
        return True
    if report.days_left > EXPIRY_NEAR_DAYS or claim.next_certificate_at is None:
        return False
    last_look = claim.next_certificate_at - timedelta(seconds=settings.MONITOR_CERTIFICATE_SECONDS)
    return (report.expires_at - last_look).days != report.days_left


def _count(outcomes: Counter[str], judged: Sequence[Judged]) -> None:
    totals = [
        metrics.Increment("monitor_checks_total", {"result": name}, count)
        for name, count in outcomes.items()
    ]
    if refused := sum(one.result.error_code == NOT_ALLOWED for one in judged):
        totals.append(metrics.Increment("monitor_checks_refused_total", {}, refused))
    lags = [one.claim.late_seconds for one in judged]
    metrics.add(*totals, *metrics.observe_many("monitor_lag_seconds", lags))


def settle_singly(results: Sequence[Result]) -> Counter[str]:
    """For a batch that cannot be stored as one: each by itself, so that one that cannot be stored
    at all costs the others nothing. Its lease runs out."""
    outcomes: Counter[str] = Counter()
    for result in results:
        try:
            outcomes += settle([result])
        except Exception:
            logger.exception("the result of monitor %s cannot be stored", result.claim.key)
    return outcomes
