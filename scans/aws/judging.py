"""Runs the rules over an account, page by page, and keeps what they find."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import repeat
from typing import Any, TypeAlias
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from scans.aws.collectors.rows import INSTANCE, VOLUME
from scans.aws.rule_facts import Facts
from scans.aws.rule_settings import choices_for
from scans.aws.rules import stopped_instance
from scans.aws.rules.all import Choice, judge_item
from scans.aws.rules.commitments import COMMITMENT_KIND, COVERAGE_KIND, EVERYWHERE
from scans.aws.rules.finding import Context, Finding, Item, Unknown
from scans.aws.rules.tally import Tally
from scans.aws.store import inventory
from scans.aws.things import Place, pages
from scans.aws.upsert import Upsert
from scans.models import Account, Recommendation, RecommendationStatus, ScanJob

_OPEN, _SNOOZED = RecommendationStatus.OPEN, RecommendationStatus.SNOOZED
_DISMISSED, _RESOLVED = RecommendationStatus.DISMISSED, RecommendationStatus.RESOLVED
_MAY_COME_BACK = frozenset({_RESOLVED, _SNOOZED})
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


# A rule and the place of a thing.
Pair: TypeAlias = tuple[str, str, str]


@dataclass
class PageVerdicts:
    """What the rules said about one page: findings to keep, and pairs of rule and thing that
    could not be judged, whose earlier findings stay as they are."""

    findings: list[Finding] = field(default_factory=list)
    unjudged: set[Pair] = field(default_factory=set)

    def standing(self) -> set[Pair]:
        return self.unjudged | {(f.rule, f.region, f.resource_id) for f in self.findings}


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
        kinds = {kind for kind, _ in self.facts.known}
        for kind in sorted(kinds, key=lambda kind: (kind != INSTANCE, kind)):
            if choices := self._choices_of(kind):
                regions = sorted(region for k, region in self.facts.known if k == kind)
                self._judge_kind(kind, regions, choices)
        self._judge_commitments()
        self._note_unseen()

    def _judge_kind(self, kind: str, regions: Sequence[str], choices: Sequence[Choice]) -> None:
        for page in pages(self.account, kind, regions):
            self.job.ensure_claimed()
            self._judge_page(page, self.facts.contexts(kind, page), choices, kind)
        present = inventory(self.account, kind).present()
        same = present.filter(region=OuterRef("region"), resource_id=OuterRef("resource_id"))
        self.resolved += _resolve(self._open_of(regions, choices).filter(~Exists(same)))

    def _judge_commitments(self) -> None:
        """What Cost Explorer told, this time or lately."""
        for kind, items in self.facts.items_of_commitments().items():
            choices = self._choices_of(kind)
            if not items:
                self.tally.skip(kind, "", self.facts.why_no_costs())
                continue
            self._judge_page(items, repeat(self.facts.context(), len(items)), choices)
            gone = self._open_of([EVERYWHERE], choices)
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
        self,
        page: Sequence[Item],
        contexts: Iterable[Context],
        choices: Sequence[Choice],
        kind: str = "",
    ) -> None:
        known = self._known_of(page, choices)
        claimed = self._claimed_by_stopped(page) if kind == VOLUME else set()
        verdicts = self._verdicts(zip(page, contexts, strict=True), choices, known, claimed)
        self._store(page, verdicts.findings, known)
        standing = verdicts.standing()
        over = [
            pk
            for pair, (pk, status) in known.items()
            if status != _RESOLVED and pair not in standing
        ]
        self.resolved += _resolve(Recommendation.objects.filter(pk__in=over))

    def _verdicts(
        self,
        items: Iterable[tuple[Item, Context]],
        choices: Sequence[Choice],
        known: Mapping[Pair, tuple[UUID, str]],
        claimed: Container[Place],
    ) -> PageVerdicts:
        verdicts = PageVerdicts()
        broken = [choice.rule.id for choice in choices if choice.problem]
        running = [choice for choice in choices if choice.runs]
        dismissed: dict[Place, set[str]] = {}
        for (rule, region, resource_id), (_, status) in known.items():
            if status == _DISMISSED:
                dismissed.setdefault((region, resource_id), set()).add(rule)
        for item, context in items:
            region, resource_id = place = (item.region, item.resource_id)
            verdicts.unjudged.update((rule, region, resource_id) for rule in broken)
            refused, is_claimed = dismissed.get(place, ()), place in claimed
            for said in judge_item(item, running, context, refused, is_claimed=is_claimed):
                self.tally.add(said)
                if isinstance(said.verdict, Unknown):
                    verdicts.unjudged.add((said.rule.id, region, resource_id))
                elif isinstance(said.verdict, Finding) and not said.is_superseded:
                    verdicts.findings.append(said.verdict)
        return verdicts

    def _store(
        self,
        page: Sequence[Item],
        findings: Sequence[Finding],
        known: Mapping[Pair, tuple[UUID, str]],
    ) -> None:
        if not findings:
            return
        now = timezone.now()
        names = {(item.region, item.resource_id): item.name for item in page}
        _OF_FINDINGS.write(
            [_row(self.account, f, names[f.region, f.resource_id]) for f in findings],
            tenant_id=self.account.tenant_id,
            account_id=self.account.pk,
            last_job_id=self.job.pk,
            first_seen_at=now,
            last_seen_at=now,
            updated_at=now,
        )
        found = {(f.rule, f.region, f.resource_id) for f in findings}
        again = [pk for pair, (pk, s) in known.items() if s in _MAY_COME_BACK and pair in found]
        _reopen(Recommendation.objects.filter(pk__in=again), now)

    def _known_of(
        self, page: Sequence[Item], choices: Sequence[Choice]
    ) -> dict[Pair, tuple[UUID, str]]:
        """The page's recommendations, with key and status."""
        regions = sorted({item.region for item in page})
        ids = [item.resource_id for item in page]
        rows = self._of(regions, choices).filter(resource_id__in=ids)
        columns = ("pk", "rule", "region", "resource_id", "status")
        return {
            (rule, region, resource_id): (pk, status)
            for pk, rule, region, resource_id, status in rows.values_list(*columns)
        }

    def _claimed_by_stopped(self, page: Sequence[Item]) -> set[Place]:
        """Volumes whose whole price an open finding on their stopped instance saves already."""
        owners = {
            (item.region, item.resource_id): [str(i) for i in item.spec.get("attached_to") or ()]
            for item in page
        }
        ids = sorted({owner for named in owners.values() for owner in named})
        rows = Recommendation.objects.open().filter(
            account=self.account, rule=stopped_instance.RULE_ID, resource_id__in=ids
        )
        stopped = set(rows.values_list("region", "resource_id")) if ids else set()
        return {
            (region, volume)
            for (region, volume), named in owners.items()
            if any((region, owner) in stopped for owner in named)
        }

    def _of(self, regions: Sequence[str], choices: Sequence[Choice]) -> QuerySet[Recommendation]:
        rules = [choice.rule.id for choice in choices]
        return Recommendation.objects.filter(
            account=self.account, region__in=regions, rule__in=rules
        )

    def _open_of(
        self, regions: Sequence[str], choices: Sequence[Choice]
    ) -> QuerySet[Recommendation]:
        return self._of(regions, choices).filter(status__in=[_OPEN, _SNOOZED])


def _reopen(again: QuerySet[Recommendation], now: datetime) -> None:
    """What was resolved is back; a snooze whose time has come is over."""
    is_back = Q(status=_RESOLVED)
    is_awake = Q(status=_SNOOZED, snoozed_until__lte=now)
    again.filter(is_back | is_awake).update(
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
