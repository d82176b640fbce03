"""The part of an account's page that helps to let us in, and says what we may not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString

from hostmaster.core.web.cells import Tone, badge
from scans.admin.cells import outcome_badge
from scans.aws.onboarding import NOT_ASKED
from scans.aws.policy import as_json, onboarding_of
from scans.models import Account, UnitOutcome


@dataclass(frozen=True)
class PermissionLine:
    """One permission, as a row of the table."""

    action: str
    badge: SafeString
    reason: str


def onboarding_panel(account: Account) -> dict[str, Any]:
    """What to set up in AWS, to copy, and what each permission came to."""
    setup = onboarding_of(account)
    told = account.permissions
    return {
        "notes": setup.notes,
        "texts": [
            ("Trust policy", "trust-policy", as_json(setup.trust_policy)),
            ("Permissions policy", "permissions-policy", as_json(setup.read_policy)),
            ("CloudFormation template", "template", as_json(setup.cloudformation)),
        ],
        "lacking": [
            _line(row) for row in told if row["outcome"] not in {UnitOutcome.OK, NOT_ASKED}
        ],
        "allowed": sum(row["outcome"] == UnitOutcome.OK for row in told),
        "not_asked": [row["action"] for row in told if row["outcome"] == NOT_ASKED],
        "is_asked": bool(told),
    }


def _line(row: dict[str, str]) -> PermissionLine:
    known = row["outcome"] in UnitOutcome.values
    cell = outcome_badge(row["outcome"]) if known else badge("–", row["outcome"], Tone.CALM)
    return PermissionLine(row["action"], cell, row["reason"])
