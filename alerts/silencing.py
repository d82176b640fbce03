"""The verbs on silences."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.utils import timezone

from alerts.models import AlertRule, Silence
from hostmaster.core.jobs import doorbells
from hostmaster.core.tenants.models import Tenant
from monitors.models import Monitor

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def silence(
    tenant: Tenant,
    *,
    reason: str,
    until: datetime,
    monitor: Monitor | None = None,
    rule: AlertRule | None = None,
    tags: Iterable[str] = (),
    starts_at: datetime | None = None,
    user: User | None = None,
) -> Silence:
    """Tell nobody until then: of this monitor, this rule, monitors with one of these tags, or (none
    of them named) of anything of the tenant. What still is open afterwards is told then.

    Raises `ValidationError` with the field's name.
    """
    wanted = Silence(
        tenant=tenant,
        reason=reason.strip(),
        starts_at=starts_at or timezone.now(),
        until=until,
        monitor=monitor,
        rule=rule,
        tags=sorted({tag.strip() for tag in tags if tag.strip()}),
        created_by=user,
    )
    _refuse_nonsense(wanted)
    wanted.full_clean()
    wanted.save(force_insert=True)
    return wanted


def end_silence(silence: Silence) -> bool:
    """End it now; what still is open is told. `False`: it was over."""
    now = timezone.now()
    if silence.ended_at is not None or silence.until <= now:
        return False
    ended = silence.update_guarded(ended_at=now)
    if ended:
        doorbells.ring(doorbells.ALERTS_EVALUATE)
    return ended


def _refuse_nonsense(wanted: Silence) -> None:
    if wanted.until <= wanted.starts_at:
        raise ValidationError({"until": "A silence ends after it begins."})
    if wanted.until <= timezone.now():
        raise ValidationError({"until": "This is over already."})
    for name, row in (("monitor", wanted.monitor), ("rule", wanted.rule)):
        if row is not None and row.tenant_id != wanted.tenant_id:
            raise ValidationError({name: f"The {name} belongs to another tenant."})
