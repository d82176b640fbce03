"""Runs the rules over an account, page by page, and keeps what they find."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from scans.aws.collectors.rows import INSTANCE, VOLUME
from scans.aws.rule_facts import Facts
from scans.aws.rule_settings import choices_for
from scans.aws.rules import stopped_instance
from scans.aws.rules.all import Choice, judge_item
from scans.aws.rules.commitments import COMMITMENT_KIND, COVERAGE_KIND, EVERYWHERE
from scans.aws.rules.finding import Context, Finding, Item, Unknown
from scans.aws.rules.tally import Tally
from scans.aws.store import BATCH, inventory
from scans.aws.upsert import Upsert
from scans.models import Account, InventoryItem, Recommendation, RecommendationStatus, ScanJob

_OPEN, _SNOOZED = RecommendationStatus.OPEN, RecommendationStatus.SNOOZED
_DISMISSED, _RESOLVED = RecommendationStatus.DISMISSED, RecommendationStatus.RESOLVED
# A snooze is over, whether its time came or its finding went.
_NO_DECISION: dict[str, Any] = {
    "snoozed_until": None,
    "dismissed_at": None,
    "dismissed_by": "",
    "dismissed_reason": "",
}
# What a rescan may say anew. The status is a person's, or moved below.
_UPDATED = (
    "title",
    "resource_name",
    "saving_low_usd",
    "saving_high_usd",
    "confidence",
    "effort",
    "action",
    "risk",
    "is_upper_bound",
    "evidence",
    "exclusive_group",
    "last_seen_at",
    "updated_at",
    "last_job_id",
)
_OF_FINDINGS = Upsert(Recommendation, ("account_id", "fingerprint"), _UPDATED)


@dataclass
class PageVerdicts:
    """What the rules said about one page: findings to keep, and pairs of rule and resource that
    could not be judged, whose earlier findings stay as they are."""

    findings: list[Finding] = field(default_factory=list)
    unjudged: set[tuple[str, str]] = field(default_factory=set)

    def standing(self) -> set[tuple[str, str]]:
        return self.unjudged | {(found.rule, found.resource_id) for found in self.findings}


@dataclass
class Judging:
    """All rules over all of one account that a scan has seen."""

    account: Account
    job: ScanJob
    facts: Facts
    resolved: int = 0

    def __post_init__(self) -> None:
        self.choices = choices_for(self.account)
        self.tally = Tally(self.choices)

    def run(self) -> None:
        # Instances first: what a stopped one claims is not for its volumes' rules to say.
        for kind, region in sorted(self.facts.known, key=lambda pair: (pair[0] != INSTANCE, pair)):
            if choices := self._choices_of(kind):
                self._judge_region(kind, region, choices)
        self._judge_commitments()
        self._note_unseen()

    def _judge_region(self, kind: str, region: str, choices: Sequence[Choice]) -> None:
        facts = self.facts.of_region(region)
        for page in _pages_of(self.account, kind, region):
            self.job.ensure_claimed()
            self._judge_page(page, facts.contexts(kind, page), choices)
        present = inventory(self.account, kind).present().filter(region=region)
        gone = self._open_of(region, choices)
        self.resolved += _resolve(gone.exclude(resource_id__in=present.values("resource_id")))

    def _judge_commitments(self) -> None:
        """What Cost Explorer told, this time or lately."""
        for kind, items in self.facts.items_of_commitments().items():
            choices = self._choices_of(kind)
            if not items:
                self.tally.skip(kind, "", self.facts.why_no_costs())
                continue
            self._judge_page(items, repeat(self.facts.context(), len(items)), choices)
            gone = self._open_of(EVERYWHERE, choices)
            names = [item.resource_id for item in items]
            self.resolved += _resolve(gone.exclude(resource_id__in=names))

    def _note_unseen(self) -> None:
        """Why nothing could be found where this scan saw nothing."""
        kinds = {choice.rule.kind for choice in self.choices} - {COVERAGE_KIND, COMMITMENT_KIND}
        for kind in kinds:
            for region in self.facts.regions():
                if (kind, region) not in self.facts.known:
                    self.tally.skip(kind, region, self.facts.why_unseen(kind, region))

    def _choices_of(self, kind: str) -> list[Choice]:
        return [choice for choice in self.choices if choice.rule.kind == kind]

    def _judge_page(
        self, page: Sequence[Item], contexts: Iterable[Context], choices: Sequence[Choice]
    ) -> None:
        region, ids = page[0].region, [item.resource_id for item in page]
        known = self._known_of(region, ids, choices)
        verdicts = self._verdicts(page, contexts, choices, known)
        _store(self.account, self.job, verdicts.findings, {i.resource_id: i.name for i in page})
        standing = verdicts.standing()
        over = [pk for pair, (pk, _) in known.items() if pair not in standing]
        self.resolved += _resolve(Recommendation.objects.filter(pk__in=over))

    def _verdicts(
        self,
        page: Sequence[Item],
        contexts: Iterable[Context],
        choices: Sequence[Choice],
        known: dict[tuple[str, str], tuple[UUID, str]],
    ) -> PageVerdicts:
        verdicts, claimed = PageVerdicts(), self._claimed_by_stopped(page)
        broken = [choice.rule.id for choice in choices if choice.problem]
        running = [choice for choice in choices if choice.runs]
        dismissed: dict[str, set[str]] = {}
        for (rule, resource_id), (_, status) in known.items():
            if status == _DISMISSED:
                dismissed.setdefault(resource_id, set()).add(rule)
        for item, context in zip(page, contexts, strict=True):
            verdicts.unjudged.update((rule, item.resource_id) for rule in broken)
            refused = dismissed.get(item.resource_id, ())
            is_claimed = item.resource_id in claimed
            for said in judge_item(item, running, context, refused, is_claimed=is_claimed):
                self.tally.add(said)
                if isinstance(said.verdict, Unknown):
                    verdicts.unjudged.add((said.rule.id, item.resource_id))
                elif isinstance(said.verdict, Finding) and not said.is_superseded:
                    verdicts.findings.append(said.verdict)
        return verdicts

    def _known_of(
        self, region: str, ids: Sequence[str], choices: Sequence[Choice]
    ) -> dict[tuple[str, str], tuple[UUID, str]]:
        """(rule, resource) → (key, status) of the page's recommendations, resolved ones aside."""
        rows = self._of(region, choices).filter(resource_id__in=ids).exclude(status=_RESOLVED)
        return {
            (rule, resource_id): (pk, status)
            for pk, rule, resource_id, status in rows.values_list(
                "pk", "rule", "resource_id", "status"
            )
        }

    def _claimed_by_stopped(self, page: Sequence[Item]) -> set[str]:
        """Volumes whose whole price an open finding on their stopped instance saves already."""
        if getattr(page[0], "kind", "") != VOLUME:
            return set()
        owners = {
            item.resource_id: [str(i) for i in item.spec.get("attached_to") or ()] for item in page
        }
        ids = {owner for named in owners.values() for owner in named}
        rows = Recommendation.objects.open().filter(
            account=self.account,
            region=page[0].region,
            rule=stopped_instance.RULE_ID,
            resource_id__in=sorted(ids),
        )
        stopped = set(rows.values_list("resource_id", flat=True)) if ids else set()
        return {volume for volume, named in owners.items() if stopped.intersection(named)}

    def _of(self, region: str, choices: Sequence[Choice]) -> QuerySet[Recommendation]:
        rules = [choice.rule.id for choice in choices]
        return Recommendation.objects.filter(account=self.account, region=region, rule__in=rules)

    def _open_of(self, region: str, choices: Sequence[Choice]) -> QuerySet[Recommendation]:
        return self._of(region, choices).filter(status__in=[_OPEN, _SNOOZED])


def _pages_of(account: Account, kind: str, region: str) -> Iterator[list[InventoryItem]]:
    """By primary key instead of one long cursor, which our own writes would pass through."""
    items = inventory(account, kind).present().filter(region=region).order_by("pk")
    last = 0
    while page := list(items.filter(pk__gt=last)[:BATCH]):
        yield page
        last = page[-1].pk


def _store(account: Account, job: ScanJob, findings: list[Finding], names: dict[str, str]) -> None:
    if not findings:
        return
    now = timezone.now()
    rows = [_row(account, found, names[found.resource_id]) for found in findings]
    _OF_FINDINGS.write(
        rows,
        tenant_id=account.tenant_id,
        account_id=account.pk,
        last_job_id=job.pk,
        first_seen_at=now,
        last_seen_at=now,
        updated_at=now,
    )
    found_again = Recommendation.objects.filter(
        account=account, fingerprint__in=[row["fingerprint"] for row in rows]
    )
    is_back = Q(status=_RESOLVED)
    is_awake = Q(status=_SNOOZED, snoozed_until__lte=now)
    found_again.filter(is_back | is_awake).update(
        status=_OPEN,
        resolved_at=None,
        **_NO_DECISION,
        version=F("version") + 1,
        updated_at=now,
    )


def _row(account: Account, finding: Finding, name: str) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "region": finding.region,
        "resource_id": finding.resource_id,
        "resource_name": name[:255],
        "fingerprint": Recommendation.fingerprint_of(
            account.pk, finding.region, finding.rule, finding.resource_id
        ),
        "title": finding.title[:255],
        "saving_low_usd": finding.saving_low_usd,
        "saving_high_usd": finding.saving_high_usd,
        "confidence": finding.confidence,
        "effort": finding.effort,
        "action": finding.action,
        "risk": finding.risk,
        "is_upper_bound": finding.is_upper_bound,
        "evidence": finding.evidence,
        "exclusive_group": finding.exclusive_group,
    }


def _resolve(over: QuerySet[Recommendation]) -> int:
    """Dismissed ones stay dismissed: found again they must not come back."""
    now = timezone.now()
    return over.filter(status__in=[_OPEN, _SNOOZED]).update(
        status=_RESOLVED,
        resolved_at=now,
        **_NO_DECISION,
        version=F("version") + 1,
        updated_at=now,
    )
