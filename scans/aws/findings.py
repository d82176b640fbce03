"""From stored rows to recommendations: rules judge what is known, people's decisions stay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from hostmaster.core.logs import log_transition
from hostmaster.core.state import InvalidTransitionError
from scans.aws.rules.all import ALL_RULES, judge_items
from scans.aws.rules.finding import Finding
from scans.aws.store import BATCH, inventory
from scans.models import (
    Account,
    InventoryItem,
    Recommendation,
    RecommendationStatus,
    ScanJob,
)

# What a rescan may say anew. The status is a person's, or moved below.
_UPDATED = [
    "title",
    "resource_name",
    "saving_low_usd",
    "saving_high_usd",
    "confidence",
    "evidence",
    "exclusive_group",
    "last_seen_at",
    "updated_at",
    "last_job",
]


def judge(account: Account, job: ScanJob, known: Iterable[tuple[str, str]]) -> dict[str, object]:
    """Judge everything in the (kind, region) pairs that are `known`, i.e. that this scan saw.

    A finding that is no longer made there is resolved; elsewhere nothing changes. Answers the
    counts and the account's total saving for the job's summary.
    """
    began_at = timezone.now()
    resolved = 0
    for kind, region in sorted(known):
        rules = [rule.id for rule in ALL_RULES if rule.kind == kind]
        if not rules:
            continue
        for page in _pages_of(account, kind, region):
            job.ensure_claimed()
            overrides = getattr(settings, "RULES", {})
            findings = judge_items(page, kind=kind, now=began_at, overrides=overrides)
            names = {item.resource_id: item.name for item in page}
            _store(account, job, list(findings), names)
        resolved += _resolve(account, region, rules, unseen_since=began_at)
    return _totals(account, began_at, resolved)


def dismiss(recommendation: Recommendation, *, by: str, reason: str = "") -> bool:
    """Not worth doing: no scan opens it again. `False`: it changed since it was read.

    Raises `InvalidTransitionError` for one that is resolved or dismissed already.
    """
    decision = {"dismissed_at": timezone.now(), "dismissed_by": by, "dismissed_reason": reason}
    return _decide(
        recommendation, RecommendationStatus.DISMISSED, **decision, snoozed_until=None, by=by
    )


def snooze(recommendation: Recommendation, *, until: datetime, by: str) -> bool:
    """Not now: the first scan after `until` that still finds it opens it again.

    Raises `ValidationError` for an instant in the past, else as `dismiss`.
    """
    if until <= timezone.now():
        raise ValidationError({"until": "Snooze until an instant to come."})
    return _decide(recommendation, RecommendationStatus.SNOOZED, snoozed_until=until, by=by)


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


def _pages_of(account: Account, kind: str, region: str) -> Iterator[list[InventoryItem]]:
    """By primary key instead of one long cursor, which our own writes would pass through."""
    items = inventory(account, kind).present().filter(region=region).order_by("pk")
    last = 0
    while page := list(items.filter(pk__gt=last)[:BATCH]):
        yield page
        last = page[-1].pk


def _store(account: Account, job: ScanJob, findings: list[Finding], names: dict[str, str]) -> None:
    now = timezone.now()
    rows = [_row(account, job, f, names[f.resource_id], now) for f in findings]
    if not rows:
        return
    Recommendation.objects.bulk_create(
        rows,
        batch_size=BATCH,
        update_conflicts=True,
        unique_fields=["account", "fingerprint"],
        update_fields=_UPDATED,
    )
    found_again = Recommendation.objects.filter(
        account=account, fingerprint__in=[row.fingerprint for row in rows]
    )
    is_back = Q(status=RecommendationStatus.RESOLVED)
    is_awake = Q(status=RecommendationStatus.SNOOZED, snoozed_until__lte=now)
    found_again.filter(is_back | is_awake).update(
        status=RecommendationStatus.OPEN,
        resolved_at=None,
        snoozed_until=None,
        version=F("version") + 1,
        updated_at=now,
    )


def _row(
    account: Account, job: ScanJob, finding: Finding, name: str, now: datetime
) -> Recommendation:
    return Recommendation(
        tenant_id=account.tenant_id,
        account=account,
        rule=finding.rule,
        region=finding.region,
        resource_id=finding.resource_id,
        resource_name=name,
        fingerprint=Recommendation.fingerprint_of(
            account.pk, finding.region, finding.rule, finding.resource_id
        ),
        title=finding.title[:255],
        saving_low_usd=finding.saving_low_usd,
        saving_high_usd=finding.saving_high_usd,
        confidence=finding.confidence,
        evidence=finding.evidence,
        exclusive_group=finding.exclusive_group,
        first_seen_at=now,
        last_seen_at=now,
        last_job=job,
    )


def _resolve(account: Account, region: str, rules: list[str], *, unseen_since: datetime) -> int:
    """Dismissed ones stay dismissed: found again they must not come back."""
    now = timezone.now()
    over = Recommendation.objects.filter(
        account=account,
        region=region,
        rule__in=rules,
        last_seen_at__lt=unseen_since,
        status__in=[RecommendationStatus.OPEN, RecommendationStatus.SNOOZED],
    )
    return over.update(
        status=RecommendationStatus.RESOLVED,
        resolved_at=now,
        snoozed_until=None,
        version=F("version") + 1,
        updated_at=now,
    )


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
