"""Calls from what push monitors watch. Silence is settled by the sweep, a call here."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F

from monitors import scheduling, settling
from monitors.claims import claim_of
from monitors.models import Monitor, MonitorKind, MonitorRun
from monitors.probes.types import Observation
from monitors.settling import Result
from monitors.storage import database_now
from monitors.tokens import hash_of


class UnknownPushTokenError(LookupError):
    """No push monitor is called by this token, or it is paused."""


def record_push(token: str) -> Monitor:
    """The watched thing lives: a successful check, and its next call is awaited from now. Raises
    `UnknownPushTokenError`."""
    monitor = _called_by(token)
    scheduling.follow_enabled([monitor.pk])
    with transaction.atomic():
        run = MonitorRun.objects.select_for_update().filter(pk=monitor.pk).first()
        # Again, now that nobody edits it: a call by an older configuration would not count.
        monitor = _called_by(token)
        if run is None:
            raise UnknownPushTokenError(str(UnknownPushTokenError.__doc__))
        # As a claim does: a worker that was about to call it overdue has lost it now.
        MonitorRun.objects.filter(pk=run.pk).update(seq=F("seq") + 1)
        run.seq += 1
        now = database_now()
        claim = claim_of(monitor, run, now)
        settling.settle([Result(claim, Observation(success=True), now, now)])
    monitor.refresh_from_db()
    return monitor


def _called_by(token: str) -> Monitor:
    monitors = Monitor.objects.filter(kind=MonitorKind.PUSH, enabled=True)
    monitor = monitors.filter(push_token_hash=hash_of(token)).first() if token else None
    if monitor is None:
        raise UnknownPushTokenError(str(UnknownPushTokenError.__doc__))
    return monitor
