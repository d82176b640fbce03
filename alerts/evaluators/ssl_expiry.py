"""`ssl_expiry`: a certificate of a monitor's chain ends within so many days, or is not valid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from alerts.evaluators.checks import (
    Watched,
    covered,
    instant,
    last_certificates,
    narrowed,
    note,
    pairs,
    subject_of,
    watched_monitors,
)
from alerts.evaluators.types import Finding, Judgement, Outcome, Scope
from alerts.models import AlertRule, Resolution, RuleKind
from monitors.models import MonitorRun


@dataclass(frozen=True)
class Chain:
    """What is known of a monitor's certificates."""

    is_valid: bool | None = None
    reason: str = ""
    expires_at: datetime | None = None  # the leaf's
    others: Sequence[tuple[str, datetime]] = ()  # those sent beside it: name, end
    seen_at: datetime | None = None

    @property
    def is_known(self) -> bool:
        return self.expires_at is not None or self.is_valid is not None

    def first_end(self) -> tuple[str, datetime] | None:
        """The certificate that ends first: whose name ("" for the leaf), when."""
        ends = list(self.others)
        if self.expires_at is not None:
            ends.insert(0, ("", self.expires_at))
        return min(ends, key=lambda end: end[1], default=None)

    def may_fire(self, latest: datetime) -> bool:
        """Whether some rule fires for it, if none minds an end after `latest`."""
        if self.is_valid is False:
            return True
        end = self.first_end()
        return end is not None and end[1] <= latest


def judge(days: float, chain: Chain, at: datetime, *, minds_invalid: bool) -> tuple[Outcome, str]:
    """How it stands, and the facts in words."""
    if not chain.is_known:
        return Outcome.HELD, ""
    end = chain.first_end()
    if end is not None and end[1] <= at + timedelta(days=days):
        return Outcome.FIRING, _ending(end, at)
    if chain.is_valid is False and minds_invalid:
        why = f": {chain.reason.strip()}" if chain.reason.strip() else ""
        return Outcome.FIRING, f"The certificate is not valid{why}"
    return Outcome.CLEAR, ""


def evaluate(rules: Sequence[AlertRule], scope: Scope, at: datetime) -> Judgement:
    """Four queries, however many rules and monitors."""
    judgement = Judgement(absent=Resolution.RULE_CHANGED)
    settings_by_rule = {rule.pk: rule.settings for rule in rules}
    chains = _chains(scope)
    latest = at + timedelta(days=max(s.threshold for s in settings_by_rule.values()))
    ill = (pk for pk, chain in chains.items() if chain.may_fire(latest))
    scope = narrowed(RuleKind.SSL_EXPIRY, scope, ill)
    monitors = watched_monitors(RuleKind.SSL_EXPIRY, scope)
    for rule, monitor in pairs(rules, monitors):
        settings = settings_by_rule[rule.pk]
        chain = chains.get(monitor.pk, Chain())
        # Who switched verification off has said that he does not mind.
        minds = bool(settings.params["invalid"]) and monitor.verify_tls
        outcome, facts = judge(settings.threshold, chain, at, minds_invalid=minds)
        finding = _finding(rule, monitor, chain, facts) if outcome is Outcome.FIRING else None
        note(judgement, rule, monitor, outcome, finding)
    return judgement


def _chains(scope: Scope) -> dict[UUID, Chain]:
    """By the newest row about a certificate, whoever wrote it; the rest of the chain by the run."""
    rows = last_certificates(RuleKind.SSL_EXPIRY, scope)
    runs = MonitorRun.objects.filter(monitor__in=covered(RuleKind.SSL_EXPIRY, scope))
    known = runs.exclude(ssl_valid=None, ssl_expires_at=None).order_by()
    columns = known.values_list(
        "monitor_id", "ssl_valid", "ssl_reason", "ssl_expires_at", "certificates", "last_checked_at"
    )
    chains = {
        monitor_id: Chain(valid, reason, expires_at, others_of(certificates), seen_at)
        for monitor_id, valid, reason, expires_at, certificates, seen_at in columns
    }
    for monitor_id, row in rows.items():
        chains[monitor_id] = _with_row(chains.get(monitor_id, Chain()), row)
    return chains


def _with_row(chain: Chain, row: tuple[Any, ...]) -> Chain:
    """The run's chain still holds when the row tells of the same certificate."""
    valid, expires, message, checked_at = row
    expires_at = instant(expires) if expires is not None else None
    is_valid = None if valid is None else bool(valid)
    same = chain.expires_at is not None and chain.expires_at == expires_at
    reason = chain.reason if same and chain.reason else (message or "")
    return Chain(is_valid, reason, expires_at, chain.others if same else (), instant(checked_at))


def others_of(certificates: object) -> list[tuple[str, datetime]]:
    """The certificates beside the leaf. A root that was sent along does not count: whoever trusts
    it has his own copy."""
    listed = certificates if isinstance(certificates, list) else []
    found = []
    for certificate in listed[1:]:
        if not isinstance(certificate, Mapping) or not certificate.get("not_after"):
            continue
        if certificate.get("subject") == certificate.get("issuer"):
            continue
        found.append((str(certificate.get("subject", "")), instant(certificate["not_after"])))
    return found


def _ending(end: tuple[str, datetime], at: datetime) -> str:
    name, ends_at = end
    what = f"The chain's certificate {name}" if name else "The certificate"
    days = (ends_at - at).days
    on = f"{ends_at:%Y-%m-%d %H:%M} UTC"
    if ends_at <= at:
        return f"{what} expired on {on}"
    return f"{what} expires in {days} day{'' if days == 1 else 's'}, on {on}"


def _finding(rule: AlertRule, monitor: Watched, chain: Chain, facts: str) -> Finding:
    return Finding(
        rule=rule,
        subject=subject_of(monitor),
        title=f"Certificate of {monitor.name}"[:300],
        trigger_value=facts[:2000],
        monitor_id=monitor.pk,
        seen_at=chain.seen_at,
    )
