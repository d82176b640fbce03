"""What each rule looked at and found, and why it found nothing: the answer to an empty list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scans.aws.rules.all import Choice, Said
from scans.aws.rules.finding import Finding, Unknown

REASONS_KEPT = 10
REASONS_SAID = 2
SWITCHED_OFF = "Switched off by the account's settings."


@dataclass
class RuleTally:
    """One rule in one scan."""

    choice: Choice
    looked_at: int = 0
    found: int = 0
    superseded: int = 0
    reasons: Counter[str] = field(default_factory=Counter)  # of unknown ones
    needs: dict[str, str] = field(default_factory=dict)  # of the first with that reason
    not_looked: dict[str, set[str]] = field(default_factory=dict)  # regions by reason

    def add(self, said: Said) -> None:
        self.looked_at += 1
        verdict = said.verdict
        if isinstance(verdict, Unknown):
            self.reasons[verdict.reason] += 1
            self.needs.setdefault(verdict.reason, verdict.needs)
        elif isinstance(verdict, Finding):
            self.superseded += said.is_superseded
            self.found += not said.is_superseded

    def skip(self, region: str, reason: str) -> None:
        self.not_looked.setdefault(reason, set()).add(region)

    def as_json(self) -> dict[str, Any]:
        reasons = self.reasons.most_common(REASONS_KEPT)
        return {
            "title": self.choice.rule.title,
            "enabled": self.choice.is_on,
            "looked_at": self.looked_at,
            "found": self.found,
            "superseded": self.superseded,
            "unknown": self.reasons.total(),
            "reasons": [
                {"reason": reason, "count": count, "needs": self.needs[reason]}
                for reason, count in reasons
            ],
            "not_looked": [
                {"reason": reason, "regions": sorted(regions)}
                for reason, regions in sorted(self.not_looked.items())
            ],
        }


class Tally:
    """All rules of one scan."""

    def __init__(self, choices: Iterable[Choice]) -> None:
        self.rules = {choice.rule.id: RuleTally(choice) for choice in choices}
        for rule in self.rules.values():
            if not rule.choice.is_on:
                rule.skip("", SWITCHED_OFF if rule.choice.rule.is_on_by_default else OPTIONAL)
            elif rule.choice.problem:
                rule.skip("", rule.choice.problem)

    def add(self, said: Said) -> None:
        self.rules[said.rule.id].add(said)

    def skip(self, kind: str, region: str, reason: str) -> None:
        """Nothing of this kind could be seen there."""
        for rule in self.rules.values():
            if rule.choice.rule.kind == kind and rule.choice.runs:
                rule.skip(region, reason)

    def as_json(self) -> dict[str, Any]:
        return {rule_id: rule.as_json() for rule_id, rule in self.rules.items()}


OPTIONAL = "Off unless a setting turns it on."


def undecided(rules: Mapping[str, Any]) -> list[str]:
    """One line for each rule of a stored summary that could not judge everything."""
    return [
        f"{told['title']}: {told['unknown']:,} of {told['looked_at']:,}. "
        + " ".join(why["reason"] for why in told["reasons"][:REASONS_SAID])
        for told in rules.values()
        if told.get("unknown")
    ]


def in_words(rule: Mapping[str, Any]) -> str:
    """One line on one rule of a stored summary: what it found, or why nothing."""
    sentences = []
    if rule.get("looked_at"):
        count = "nothing" if not rule.get("found") else rule["found"]
        sentences.append(f"Looked at {rule['looked_at']:,}, found {count}.")
    if rule.get("superseded"):
        sentences.append(f"{rule['superseded']:,} more are covered by better findings.")
    if rule.get("unknown"):
        sentences.append(f"{rule['unknown']:,} cannot be judged:")
        sentences += [f"{why['count']:,} × {why['reason']}" for why in rule.get("reasons", ())]
    for skipped in rule.get("not_looked", ()):
        where = ", ".join(region for region in skipped["regions"] if region)
        sentences.append(
            f"Not looked in {where}: {skipped['reason']}" if where else skipped["reason"]
        )
    return " ".join(sentences) or "There is nothing of this kind in the account."
