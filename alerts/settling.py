"""What a try comes to: for its notification, for its channel, and for those who count.

Fenced by the row's version: a result that comes after the lease is over, or
from a process that was thought dead, changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from alerts import retry_tables
from alerts.breaker import GIVES_UP_AFTER, Breaker
from alerts.claims import Claim
from alerts.digests import Window
from alerts.models.channels import AlertChannel
from alerts.models.incidents import Incident
from alerts.models.notifications import DeliveryAttempt, Notification, NotificationState
from alerts.transports.base import Outcome
from hostmaster.core.clock import DatabaseNow, database_now
from hostmaster.core.health import services as health
from hostmaster.core.metrics import services as metrics

logger = logging.getLogger(__name__)

REFUSALS = 2  # the same answer twice: not a moment's whim of the receiver
KEPT_ERRORS = 20
FRESH = timedelta(minutes=1)  # so often a channel's last success is written down
CHUNK = 500


def settle(claim: Claim, outcome: Outcome, started_at: datetime, ms: int) -> bool:
    """Write down what came of sending `claim`. `False`: it was somebody else's by then.

    A success is first written where it counts, then where it is told of: a process killed between
    a receiver's answer and the first commit sends twice, so that is kept short. One killed between
    the two leaves a sent message without its line in the log of tries.
    """
    with transaction.atomic():
        done = _succeed(claim) if outcome.ok else _fail(claim, outcome)
        if done and not outcome.ok:
            _tell(claim, outcome, started_at, ms)
    if done and outcome.ok:
        with transaction.atomic():
            _note_success(claim, outcome)
            _tell(claim, outcome, started_at, ms)
    return done


def _tell(claim: Claim, outcome: Outcome, started_at: datetime, ms: int) -> None:
    note_attempt(claim.channel, outcome, started_at, ms, notification=claim.leader)
    metrics.add(*_increments(claim, outcome, started_at))


def note_attempt(
    channel: AlertChannel,
    outcome: Outcome,
    started_at: datetime,
    ms: int | None,
    *,
    notification: Notification | None = None,
) -> DeliveryAttempt:
    """Add to the log of tries."""
    no = 1
    if notification is not None and _was_tried(notification):
        no += notification.deliveries.count()
    return DeliveryAttempt.objects.create(
        tenant_id=channel.tenant_id,
        channel=channel,
        notification=notification,
        no=no,
        started_at=started_at,
        ms=ms,
        **attempt_fields(outcome),
    )


def _was_tried(row: Notification) -> bool:
    return bool(row.errors) or row.attempts != 1 or row.is_replay


def attempt_fields(outcome: Outcome) -> dict[str, Any]:
    return {
        "ok": outcome.ok,
        "status_code": outcome.status_code,
        "error_class": outcome.error_class,
        "error": outcome.error,
        "reply": outcome.reply,
    }


def hand_back(claim: Claim) -> bool:
    """Return what was claimed and not sent; neither the attempt nor the message counts."""
    row = claim.leader
    fields: dict[str, Any] = {"attempts": max(row.attempts - 1, 0), **_without_lease()}
    if not (fields["attempts"] or row.errors or row.is_replay):
        fields["started_at"] = None  # nobody has seen it yet: a digest may tell it
    with transaction.atomic():
        channel = _locked(claim.channel)
        done = row.take_from_holder(
            Q(lease_owner=row.lease_owner), row.WAITING_STATE, actor="", reason="", **fields
        )
        if done and channel is not None:
            _return_turn(channel, claim)
    return done


def suppress(claim: Claim, reason: str) -> bool:
    """Not to be sent after all. What was to go with it waits for another message."""
    with transaction.atomic():
        channel = _locked(claim.channel)
        done = claim.leader.advance(NotificationState.SUPPRESSED, suppress_reason=reason)
        if done and channel is not None:
            _return_turn(channel, claim)
            metrics.add(_counted(channel, "suppressed"))
    return done


def _locked(channel: AlertChannel) -> AlertChannel | None:
    """As it is now, with the database's time as `now`; `None` when it was deleted with all it was
    owed. Before its notifications, as a claim locks it first: two orders would deadlock."""
    channels = AlertChannel.objects.select_for_update(no_key=True)
    return channels.filter(pk=channel.pk).annotate(now=DatabaseNow()).first()


def _return_turn(channel: AlertChannel, claim: Claim) -> None:
    """A message that did not go out used up nothing of its channel's minute, and asked nothing."""
    now: datetime = channel.now  # type: ignore[attr-defined]  # annotated by `_locked`
    if claim.counted_as in channel.recent_sends:
        channel.recent_sends.remove(claim.counted_as)
    if channel.next_send_at == claim.closed_until:  # nobody has had another reason since
        channel.next_send_at = Window.of(channel, now).opens_at()
    channel.save(update_fields=["recent_sends", "next_send_at"])


def expire_attempt(row: Notification, guard: Q) -> bool:
    """The process that sent it died, or hangs: a failed try, whatever the receiver got."""
    outcome = Outcome(False, error_class="lost", error="The worker that sent it died.")
    started_at = row.started_at or timezone.now()
    is_last = row.attempts >= row.attempts_allowed()
    to = NotificationState.FAILED if is_last else NotificationState.PENDING
    with transaction.atomic():
        channel = _locked(row.channel)
        done = channel is not None and row.take_from_holder(
            guard,
            to,
            actor="",
            reason="",
            errors=_with_error(row, outcome),
            **_without_lease(),
            **({} if is_last else {"run_at": DatabaseNow()}),
        )
        if done and channel is not None:
            # A probe that died must not hold the others up for a whole lease.
            if channel.is_breaker_open:
                AlertChannel.objects.filter(pk=channel.pk).update(next_send_at=DatabaseNow())
            note_attempt(channel, outcome, started_at, None, notification=row)
            metrics.add(_counted(channel, "dead" if is_last else "failed"))
    return done


def _succeed(claim: Claim) -> bool:
    if not claim.leader.advance(NotificationState.SENT):
        return False
    _note_told(claim.leader)
    return True


def _note_told(row: Notification) -> None:
    """Its incident, and those of the rows it told besides, have been told of."""
    if row.is_alone:
        if row.incident.notified_at is None:
            Incident.objects.filter(pk=row.incident_id, notified_at=None).update(
                notified_at=timezone.now()
            )
        return
    told = [row.incident_id, *row.folded.sent().values_list("incident_id", flat=True)]
    for start in range(0, len(told), CHUNK):
        chunk = told[start : start + CHUNK]
        Incident.objects.filter(pk__in=chunk, notified_at=None).update(notified_at=timezone.now())


def _note_success(claim: Claim, outcome: Outcome) -> None:
    """The channel is well. Written when it was not, as far as its claim knew, or not for a
    minute."""
    now, channel = timezone.now(), claim.channel
    was_well = not (channel.failures_in_row or channel.last_error or channel.is_breaker_open)
    is_fresh = channel.last_success_at and now - channel.last_success_at < FRESH
    if not (was_well and is_fresh):
        AlertChannel.objects.filter(pk=channel.pk).update(
            last_success_at=now,
            failures_in_row=0,
            breaker_seconds=0,
            failing_since=None,
            last_error="",
        )
    if claim.is_probe:
        _reopen(channel)
    if outcome.wait:
        _hold(channel, outcome.wait)


def _reopen(channel: AlertChannel) -> None:
    """It is back: what waits because it was down waits no longer."""
    AlertChannel.objects.filter(pk=channel.pk).update(next_send_at=DatabaseNow())
    later = Notification.objects.filter(channel=channel, state=NotificationState.PENDING)
    later.filter(run_at__gt=DatabaseNow()).update(run_at=DatabaseNow())


def _hold(channel: AlertChannel, wait: timedelta) -> None:
    """It asked us to wait, all messages alike."""
    until = database_now(min(wait, retry_tables.LONGEST_WAIT))
    AlertChannel.objects.filter(pk=channel.pk, next_send_at__lt=until).update(next_send_at=until)


def _fail(claim: Claim, outcome: Outcome) -> bool:
    channel = _locked(claim.channel)
    if channel is None:
        return False
    row = claim.leader
    to, fields = _next_step(claim, outcome)
    fields |= {"errors": _with_error(row, outcome), **_without_lease()}
    if not row.advance(to, **fields):
        return False
    if outcome.is_throttled:
        _hold(channel, outcome.wait or timedelta(seconds=1))
        if claim.is_probe:  # it is there, and busy
            AlertChannel.objects.filter(pk=channel.pk).update(breaker_seconds=0, failures_in_row=0)
        return True
    _note_failure(channel, outcome, was_probe=claim.is_probe)
    if outcome.wait:
        _hold(channel, outcome.wait)
    log = "notification %s by %s channel %s: %s"
    logger.warning(log, row.pk, channel.type, channel.pk, outcome.error)
    return True


def _next_step(claim: Claim, outcome: Outcome) -> tuple[NotificationState, dict[str, Any]]:
    """Where a failed row goes, and what is written with it."""
    row, channel_type = claim.leader, claim.channel.type
    if outcome.is_throttled:
        # It was not looked at: no attempt. Until `deliver_by` nothing is lost by waiting.
        wait = retry_tables.jittered(outcome.wait or timedelta(seconds=1))
        return _again(wait, attempts=max(row.attempts - 1, 0))
    if outcome.is_refused:
        fields: dict[str, Any] = {"refusals": row.refusals + 1}
        if outcome.is_gone or row.refusals + 1 >= REFUSALS:
            return NotificationState.FAILED, fields
        return _again(retry_tables.delay_before(channel_type, row.attempts), **fields)
    if claim.is_probe:
        # Asked for all that wait. Its own tries are for when the channel is back.
        return _again(timedelta(), attempts=max(row.attempts - 1, 0))
    if row.attempts >= row.attempts_allowed():
        return NotificationState.FAILED, {}
    return _again(retry_tables.delay_before(channel_type, row.attempts, asked=outcome.wait))


def _again(wait: timedelta, **fields: Any) -> tuple[NotificationState, dict[str, Any]]:
    return NotificationState.PENDING, {**fields, "run_at": database_now(wait)}


def _note_failure(channel: AlertChannel, outcome: Outcome, *, was_probe: bool) -> None:
    """One more failure of a channel that is locked."""
    now = timezone.now()
    before = Breaker(channel.failures_in_row, channel.breaker_seconds)
    breaker = before.after_failure(was_probe=was_probe)
    failing_since = channel.failing_since or now
    fields: dict[str, Any] = {
        "failures_in_row": breaker.failures_in_row,
        "breaker_seconds": breaker.open_seconds,
        "failing_since": failing_since,
        "last_error": outcome.error,
    }
    if breaker.is_open and (was_probe or not before.is_open):
        fields["next_send_at"] = database_now(breaker.pause())
    AlertChannel.objects.filter(pk=channel.pk).update(**fields)
    if outcome.is_gone:
        disable(channel, "It answered that it is gone (status 410).")
    elif now - failing_since >= GIVES_UP_AFTER:
        hours = int(GIVES_UP_AFTER.total_seconds() // 3600)
        disable(channel, f"Nothing could be delivered for {hours} hours.")


def disable(channel: AlertChannel, reason: str) -> None:
    """Switch it off by itself, and say so where rules and people look."""
    changed = AlertChannel.objects.filter(pk=channel.pk, enabled=True).update(
        enabled=False, disabled_reason=reason, updated_at=timezone.now()
    )
    if changed:
        health.record(
            "alerts",
            "error",
            f"Channel {channel.name} is switched off. {reason}",
            fact="channel_disabled",
            channel=str(channel.pk),
            tenant=str(channel.tenant_id),
        )


def _increments(claim: Claim, outcome: Outcome, started_at: datetime) -> list[metrics.Increment]:
    row, channel = claim.leader, claim.channel
    if not outcome.ok:
        is_dead = row.current_state == NotificationState.FAILED
        result = "throttled" if outcome.is_throttled else "dead" if is_dead else "failed"
        return [_counted(channel, result)]
    rows = [(row.created_at, row.is_replay)]
    if not row.is_alone:
        rows += row.folded.values_list("created_at", "is_replay")
    found = [_counted(channel, "sent", len(rows))]
    for created_at, is_replay in rows:
        if not is_replay:
            seconds = max((started_at - created_at).total_seconds(), 0.0)
            found += metrics.observe("notification_latency_seconds", seconds)
    return found


def _counted(channel: AlertChannel, result: str, amount: float = 1) -> metrics.Increment:
    labels: Mapping[str, str] = {"type": channel.type, "result": result}
    return metrics.Increment("notifications_total", labels, amount)


def _with_error(row: Notification, outcome: Outcome) -> list[dict[str, Any]]:
    entry = {
        "at": timezone.now().isoformat(),
        "attempt": row.attempts,
        "type": outcome.error_class,
        "message": outcome.error,
        "retryable": not outcome.is_refused,
    }
    return [*row.errors, entry][-KEPT_ERRORS:]


def _without_lease() -> dict[str, Any]:
    return {"lease_until": None, "lease_owner": ""}
