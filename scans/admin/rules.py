"""What each rule came to in a scan: also the answer to an empty list of findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scans.aws.rules.tally import in_words


@dataclass(frozen=True)
class RuleLine:
    """One rule in one scan, as the page shows it."""

    rule: str
    title: str
    looked_at: int
    found: int
    unknown: int
    words: str


def rules_of(summary: Mapping[str, Any]) -> list[RuleLine]:
    """Those that found most first; then those that could judge least. Empty for a scan without
    rules."""
    rules: Mapping[str, Any] = summary.get("rules") or {}
    lines = [
        RuleLine(
            rule=rule_id,
            title=str(told.get("title", rule_id)),
            looked_at=int(told.get("looked_at", 0)),
            found=int(told.get("found", 0)),
            unknown=int(told.get("unknown", 0)),
            words=in_words(told),
        )
        for rule_id, told in rules.items()
    ]
    return sorted(lines, key=lambda line: (-line.found, -line.unknown, -line.looked_at, line.rule))
