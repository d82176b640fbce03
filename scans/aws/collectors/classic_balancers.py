"""Load balancers of the first generation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from scans.aws.clients import AwsClient
from scans.aws.collectors.load_balancers import PAGE_SIZE, TAGS, tags_of_all
from scans.aws.collectors.rows import (
    LOAD_BALANCER,
    Collector,
    Detail,
    Details,
    ResourceRow,
    instant_text,
)

CLASSIC = "classic"
IN_SERVICE = "InService"

HEALTH = Detail("DescribeInstanceHealth", "elasticloadbalancing:DescribeInstanceHealth")


def collect(client: AwsClient, region: str) -> Iterator[list[ResourceRow]]:
    """The region's classic load balancers, one list a page. Their id is their name.

    Spec: type (classic), scheme, vpc_id, created_at, dimension (what CloudWatch calls it),
    instance_ids, and from the details: healthy_targets (null: unknown).
    """
    pages = client.get_paginator("describe_load_balancers").paginate(
        PaginationConfig={"PageSize": PAGE_SIZE}
    )
    for page in pages:
        described = page.get("LoadBalancerDescriptions", ())
        if rows := [balancer_row(balancer, region) for balancer in described]:
            yield rows


def balancer_row(described: Mapping[str, Any], region: str) -> ResourceRow:
    name = str(described["LoadBalancerName"])
    return ResourceRow(
        region=region,
        resource_id=name,
        kind=LOAD_BALANCER,
        name=name,
        state="active",  # AWS has no states for these
        spec={
            "type": CLASSIC,
            "scheme": described.get("Scheme", ""),
            "vpc_id": described.get("VPCId") or "",
            "created_at": instant_text(described.get("CreatedTime")),
            "dimension": name,
            "instance_ids": [str(i["InstanceId"]) for i in described.get("Instances") or ()],
            "healthy_targets": None,
        },
    )


def enrich(
    client: AwsClient, rows: Sequence[ResourceRow], details: Details
) -> Sequence[ResourceRow]:
    """The rows with their tags and the number of instances in service."""
    tags = tags_of_all(client, rows, details, ask_for="LoadBalancerNames", named="LoadBalancerName")
    return [
        replace(
            row,
            tags=tags.get(row.resource_id, {}),
            spec=row.spec | {"healthy_targets": _in_service(client, row, details)},
        )
        for row in rows
    ]


def _in_service(client: AwsClient, row: ResourceRow, details: Details) -> int | None:
    if not row.spec["instance_ids"]:
        return 0
    answer = details.ask(
        HEALTH, partial(client.describe_instance_health, LoadBalancerName=row.resource_id)
    )
    if answer is None:
        return None
    states: Sequence[Mapping[str, Any]] = answer["InstanceStates"]
    return len([state for state in states if state.get("State") == IN_SERVICE])


COLLECTOR = Collector(
    service="elb",
    call="DescribeLoadBalancers",
    kind=LOAD_BALANCER,
    iam_action="elasticloadbalancing:DescribeLoadBalancers",
    collect=collect,
    details=(TAGS, HEALTH),
    enrich=enrich,
    only={"spec__type": CLASSIC},
)
