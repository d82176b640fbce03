"""From stored rows to recommendations, and what people decide about them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from hostmaster.core.logs import log_transition
from hostmaster.core.state import InvalidTransitionError
from scans.aws.judging import Judging
from scans.aws.rule_facts import Facts
from scans.models import Account, Recommendation, RecommendationStatus, ScanJob


def judge(account: Account, job: ScanJob, known: Iterable[tuple[str, str]]) -> dict[str, object]:
    """Judge everything in the (kind, region) pairs that are `known`, i.e. that this scan saw.

    A finding that is no longer made there is resolved; one that cannot be judged for want of
    knowledge stays as it is, and so does everything elsewhere. Answers the counts and the
    account's total saving for the job's summary, and under `rules` what each rule came to.
    """
    began_at = timezone.now()
    judging = Judging(account, job, Facts.of(account, job, known, began_at))
    judging.run()
    totals = _totals(account, began_at, judging.resolved)
    return {**totals, "rules": judging.tally.as_json()}


def dismiss(recommendation: Recommendation, *, by: str, reason: str = "") -> bool:
    """Not worth doing: no scan opens it again. `False`: it changed since it was read.

    Raises `InvalidTransitionError` for one that is resolved or dismissed already.
    """
    decision = {"dismissed_at": timezone.now(), "dismissed_by": by, "dismissed_reason": reason}
    return _decide(
        recommendation, RecommendationStatus.DISMISSED, **decision, snoozed_until=None, by=by
    )


def snooze(recommendation: Recommendation, *, until: datetime, by: str, reason: str = "") -> bool:
    """Not now: the first scan after `until` that still finds it opens it again.

    Raises `ValidationError` for an instant in the past, else as `dismiss`.
    """
    if until <= timezone.now():
        raise ValidationError({"until": "Snooze until an instant to come."})
    decision = {"dismissed_at": timezone.now(), "dismissed_by": by, "dismissed_reason": reason}
    return _decide(
        recommendation, RecommendationStatus.SNOOZED, **decision, snoozed_until=until, by=by
    )


def reopen(recommendation: Recommendation, *, by: str) -> bool:
    """Take a dismissal or a snooze back. `False` and errors as `dismiss`."""
    if recommendation.status == RecommendationStatus.RESOLVED:
        raise InvalidTransitionError("A scan no longer found this: only a scan can open it again.")
    forgotten = {"dismissed_at": None, "dismissed_by": "", "dismissed_reason": ""}
    return _decide(
        recommendation, RecommendationStatus.OPEN, **forgotten, snoozed_until=None, by=by
    )


def _decide(
    recommendation: Recommendation, to: RecommendationStatus, *, by: str, **fields: object
) -> bool:
    """A person's decision; figures cached before it are over."""
    before = recommendation.status
    with transaction.atomic():
        if not recommendation.advance(to, **fields):
            return False
        account = Account.objects.filter(pk=recommendation.account_id)
        account.update(cache_generation=F("cache_generation") + 1)
    log_transition(
        "scans.Recommendation",
        recommendation.pk,
        before,
        to,
        tenant=recommendation.tenant_id,
        actor=by,
    )
    return True


def _totals(account: Account, began_at: datetime, resolved: int) -> dict[str, object]:
    still_open = Recommendation.objects.open().filter(account=account)
    low, high = still_open.monthly_saving()
    return {
        "open": still_open.count(),
        "new": still_open.filter(first_seen_at__gte=began_at).count(),
        "resolved": resolved,
        "saving_low_usd": str(low),
        "saving_high_usd": str(high),
    }
