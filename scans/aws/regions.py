"""Which regions a scan asks: those the account has switched on, or those its owner chose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scans.aws.clients import AwsSession
    from scans.aws.errors import UnitOutcome

# Switched on in every account; all others are opt-in. AWS, "Regions and zones", read 2026-11.
DEFAULT_REGIONS = (
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
)
DESCRIBE_REGIONS = "ec2:DescribeRegions"


@dataclass(frozen=True)
class RegionSelection:
    """The regions to scan, those chosen that are switched off, and why AWS could not be asked."""

    enabled: tuple[str, ...]
    not_enabled: tuple[str, ...] = ()
    problem: UnitOutcome | None = None


def select_regions(session: AwsSession, chosen: Sequence[str] = ()) -> RegionSelection:
    """The regions of a scan. Asks AWS once; `chosen` narrows the answer and keeps its order.

    When AWS denies the question the chosen regions, or else those on in every account, are
    scanned, and `problem` says so. Raises `CredentialsRefusedError`.
    """
    from scans.aws.errors import AWS_ERRORS, CredentialsRefusedError, classify

    client = session.client("ec2", session.region)
    try:
        answer = client.describe_regions(AllRegions=False)
    except AWS_ERRORS as error:
        problem = classify(error, region=session.region, iam_action=DESCRIBE_REGIONS)
        if problem.is_refusal:
            raise CredentialsRefusedError(problem.message) from None
        return RegionSelection(tuple(chosen) or DEFAULT_REGIONS, problem=problem)
    # The filter is ours: some endpoints list regions that are off although not asked to.
    enabled = {
        str(region["RegionName"])
        for region in answer["Regions"]
        if region.get("OptInStatus") != "not-opted-in"
    }
    if not chosen:
        return RegionSelection(tuple(sorted(enabled)))
    return RegionSelection(
        enabled=tuple(region for region in chosen if region in enabled),
        not_enabled=tuple(region for region in chosen if region not in enabled),
    )


def enabled_regions(session: AwsSession, chosen: Sequence[str] = ()) -> tuple[str, ...]:
    """Only the names of `select_regions`."""
    return select_regions(session, chosen).enabled
