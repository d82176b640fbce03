"""Every rule, and the one verb that runs them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from scans.aws.rules import gp2_to_gp3, unassociated_address, unattached_volume
from scans.aws.rules.finding import Finding, Item, Params, Rule

# In one exclusive group the first rule that finds something wins: what can go need not improve.
ALL_RULES: tuple[Rule, ...] = (
    unattached_volume.RULE,
    gp2_to_gp3.RULE,
    unassociated_address.RULE,
)


class UnknownRuleError(Exception):
    """RULES names a rule or a parameter that does not exist."""


def judge_items(
    items: Iterable[Item],
    *,
    kind: str,
    now: datetime,
    overrides: Mapping[str, Params] | None = None,
) -> Iterator[Finding]:
    """The findings on items of one kind, at most one for each resource and exclusive group.

    `overrides`: parameters by rule id, such as `{"ebs.unattached": {"min_age_days": 3}}`. Raises
    `UnknownRuleError`.
    """
    rules = [(rule, params_of(rule, overrides or {})) for rule in ALL_RULES if rule.kind == kind]
    for item in items:
        taken: set[str] = set()
        for rule, params in rules:
            finding = rule.judge(item, now=now, params=params)
            if finding is not None and finding.exclusive_group not in taken:
                taken.add(finding.exclusive_group)
                yield finding


def params_of(rule: Rule, overrides: Mapping[str, Params]) -> Params:
    """The rule's parameters. Raises `UnknownRuleError` for a name nobody reads."""
    if unknown := set(overrides) - {known.id for known in ALL_RULES}:
        raise UnknownRuleError(f"RULES names {_listed(unknown)}, which is no rule.")
    given = overrides.get(rule.id, {})
    if unknown := set(given) - set(rule.defaults):
        raise UnknownRuleError(f"RULES gives {rule.id} {_listed(unknown)}, which it never reads.")
    return {**rule.defaults, **given}


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))
