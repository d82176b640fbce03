"""Every rule, and the one verb that runs them on an item."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from scans.aws.rules import (
    bucket_lifecycle,
    commitments,
    database_snapshot,
    gp2_to_gp3,
    idle_database,
    idle_instance,
    idle_load_balancer,
    idle_nat,
    idle_volume,
    old_snapshot,
    oversized_database,
    oversized_instance,
    previous_generation,
    schedulable_instance,
    stopped_instance,
    unassociated_address,
    unattached_volume,
)
from scans.aws.rules.finding import Context, Finding, Item, Params, Rule, Unknown, Verdict

logger = logging.getLogger(__name__)

# In one exclusive group the first rule that finds something wins: what can go need not improve.
ALL_RULES: tuple[Rule, ...] = (
    idle_instance.RULE,
    stopped_instance.RULE,
    oversized_instance.RULE,
    schedulable_instance.RULE,
    previous_generation.PREVIOUS_RULE,
    previous_generation.GRAVITON_RULE,
    unattached_volume.RULE,
    idle_volume.RULE,
    gp2_to_gp3.RULE,
    old_snapshot.RULE,
    unassociated_address.RULE,
    idle_database.RULE,
    oversized_database.RULE,
    database_snapshot.RULE,
    idle_nat.RULE,
    idle_load_balancer.RULE,
    bucket_lifecycle.RULE,
    commitments.GAP_RULE,
    commitments.EXPIRING_RULE,
)
RULES_BY_ID = {rule.id: rule for rule in ALL_RULES}


@dataclass(frozen=True)
class Choice:
    """A rule as one account wants it. `problem`: its settings cannot be used, for this reason."""

    rule: Rule
    params: Params
    is_on: bool = True
    problem: str = ""

    @property
    def runs(self) -> bool:
        return self.is_on and not self.problem


@dataclass(frozen=True)
class Said:
    """What a rule said about one item. `is_superseded`: true, but a better finding of its group
    makes it pointless."""

    rule: Rule
    verdict: Verdict
    is_superseded: bool = False


def by_default() -> list[Choice]:
    """Every rule as it is without any setting."""
    return [Choice(rule, rule.defaults, rule.is_on_by_default) for rule in ALL_RULES]


def judge_item(
    item: Item,
    choices: Sequence[Choice],
    context: Context,
    dismissed: Container[str] = (),
    *,
    is_claimed: bool = False,
) -> Iterator[Said]:
    """What each rule says, in their order; of an exclusive group one finding is not superseded.

    `dismissed`: rules whose finding on this item a person dismissed. They are still found, and
    leave their group to the next best. `is_claimed`: a finding on something else saves the whole
    price of this item already.
    """
    taken: set[str] = set()
    for choice in choices:
        verdict = _judged(choice.rule, item, context.by(choice.params))
        if not isinstance(verdict, Finding):
            yield Said(choice.rule, verdict)
            continue
        is_superseded = is_claimed or verdict.exclusive_group in taken
        yield Said(choice.rule, verdict, is_superseded)
        if choice.rule.id not in dismissed:
            taken.add(verdict.exclusive_group)


def _judged(rule: Rule, item: Item, context: Context) -> Verdict:
    """One thing that is described in a way nobody expected must not hide all the others."""
    try:
        return rule.judge(item, context)
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        kind = type(error).__name__
        logger.warning("rule %s cannot read %s: %s", rule.id, item.resource_id, kind)
        reason = "Its description has a form that the rule cannot read."
        return Unknown(rule.id, item.region, item.resource_id, reason, kind)
