"""Load balancers: application, network and gateway ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from scans.aws.clients import AwsClient
from scans.aws.collectors.rows import (
    LOAD_BALANCER,
    Collector,
    Detail,
    Details,
    ResourceRow,
    instant_text,
    tags_of,
    taken,
)

PAGE_SIZE = 400  # ELB gives no more
TAGGED_AT_ONCE = 20  # resources a DescribeTags may name
TYPES = ("application", "network", "gateway")
HEALTHY = "healthy"
UNCHECKED = "Target.HealthCheckDisabled"  # of functions: they are called all the same

TAGS = Detail("DescribeTags", "elasticloadbalancing:DescribeTags")
TARGET_GROUPS = Detail("DescribeTargetGroups", "elasticloadbalancing:DescribeTargetGroups")
TARGET_HEALTH = Detail("DescribeTargetHealth", "elasticloadbalancing:DescribeTargetHealth")


def collect(client: AwsClient, region: str) -> Iterator[list[ResourceRow]]:
    """The region's load balancers, one list a page. Their id is their ARN.

    Spec: type (application | network | gateway), scheme, vpc_id, created_at, dimension (what
    CloudWatch calls it), and from the details: healthy_targets (null: unknown; 0 also without
    any target group), target_groups (as CloudWatch calls them; null: unknown).
    """
    pages = client.get_paginator("describe_load_balancers").paginate(
        PaginationConfig={"PageSize": PAGE_SIZE}
    )
    for page in pages:
        if rows := [balancer_row(balancer, region) for balancer in taken(page, "LoadBalancers")]:
            yield rows


def balancer_row(described: Mapping[str, Any], region: str) -> ResourceRow:
    arn = str(described["LoadBalancerArn"])
    return ResourceRow(
        region=region,
        resource_id=arn,
        kind=LOAD_BALANCER,
        name=str(described.get("LoadBalancerName", "")),
        state=str(described.get("State", {}).get("Code", "")),
        spec={
            "type": described.get("Type") or "application",
            "scheme": described.get("Scheme", ""),
            "vpc_id": described.get("VpcId", ""),
            "created_at": instant_text(described.get("CreatedTime")),
            "dimension": arn.partition(":loadbalancer/")[2],
            "healthy_targets": None,
            "target_groups": None,
        },
    )


def enrich(
    client: AwsClient, rows: Sequence[ResourceRow], details: Details
) -> Sequence[ResourceRow]:
    """The rows with their tags and targets."""
    tags = tags_of_all(client, rows, details, ask_for="ResourceArns", named="ResourceArn")
    return [
        replace(
            row,
            tags=tags.get(row.resource_id, {}),
            spec=row.spec | _targets(client, row.resource_id, details),
        )
        for row in rows
    ]


def tags_of_all(
    client: AwsClient, rows: Sequence[ResourceRow], details: Details, *, ask_for: str, named: str
) -> dict[str, dict[str, str]]:
    """The balancers' tags by their ids. `ask_for` and `named`: what DescribeTags calls an id in its
    question and in its answer, which differs between the generations."""
    found: dict[str, dict[str, str]] = {}
    ids = [row.resource_id for row in rows]
    for start in range(0, len(ids), TAGGED_AT_ONCE):
        some = {ask_for: ids[start : start + TAGGED_AT_ONCE]}
        answer = details.ask(TAGS, partial(client.describe_tags, **some))
        for described in (answer or {}).get("TagDescriptions", ()):
            found[str(described[named])] = tags_of(described)
    return found


def _targets(client: AwsClient, arn: str, details: Details) -> dict[str, Any]:
    answer = details.ask(TARGET_GROUPS, partial(client.describe_target_groups, LoadBalancerArn=arn))
    if answer is None:
        return {}
    groups = [str(group["TargetGroupArn"]) for group in answer.get("TargetGroups", ())]
    counts = [_healthy_targets(client, group, details) for group in groups]
    known = [count for count in counts if count is not None]
    return {
        "target_groups": [group.rpartition(":")[2] for group in groups],
        # One group unknown and the others empty: unknown. A healthy one somewhere: not idle.
        "healthy_targets": sum(known) if len(known) == len(counts) or any(known) else None,
    }


def _healthy_targets(client: AwsClient, group: str, details: Details) -> int | None:
    answer = details.ask(
        TARGET_HEALTH, partial(client.describe_target_health, TargetGroupArn=group)
    )
    if answer is None:
        return None
    return len([target for target in answer["TargetHealthDescriptions"] if is_healthy(target)])


def is_healthy(target: Mapping[str, Any]) -> bool:
    health: Mapping[str, str] = target.get("TargetHealth", {})
    return health.get("State") == HEALTHY or health.get("Reason") == UNCHECKED


COLLECTOR = Collector(
    service="elbv2",
    call="DescribeLoadBalancers",
    kind=LOAD_BALANCER,
    iam_action="elasticloadbalancing:DescribeLoadBalancers",
    collect=collect,
    details=(TAGS, TARGET_GROUPS, TARGET_HEALTH),
    enrich=enrich,
    only={"spec__type__in": TYPES},
)
