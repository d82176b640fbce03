"""NAT gateways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scans.aws.clients import AwsClient
from scans.aws.collectors.rows import (
    NAT_GATEWAY,
    PAGE_SIZE,
    Collector,
    ResourceRow,
    instant_text,
    tags_of,
)

GONE_STATES = frozenset({"deleted", "failed"})  # listed for an hour more, and free


def collect(client: AwsClient, region: str) -> Iterator[list[ResourceRow]]:
    """The region's gateways, one list a page, deleted ones left out.

    Spec: vpc_id, subnet_id, connectivity_type (public | private), created_at, public_ips,
    allocation_ids (of its addresses).
    """
    pages = client.get_paginator("describe_nat_gateways").paginate(
        PaginationConfig={"PageSize": PAGE_SIZE}
    )
    for page in pages:
        gateways = page.get("NatGateways", ())
        rows = [nat_row(gateway, region) for gateway in gateways if not _is_gone(gateway)]
        if rows:
            yield rows


def nat_row(described: Mapping[str, Any], region: str) -> ResourceRow:
    tags = tags_of(described)
    addresses = described.get("NatGatewayAddresses") or ()
    return ResourceRow(
        region=region,
        resource_id=str(described["NatGatewayId"]),
        kind=NAT_GATEWAY,
        name=tags.get("Name", ""),
        state=str(described.get("State", "")),
        tags=tags,
        spec={
            "vpc_id": described.get("VpcId", ""),
            "subnet_id": described.get("SubnetId", ""),
            "connectivity_type": described.get("ConnectivityType") or "public",
            "created_at": instant_text(described.get("CreateTime")),
            "public_ips": [str(a["PublicIp"]) for a in addresses if a.get("PublicIp")],
            "allocation_ids": [str(a["AllocationId"]) for a in addresses if a.get("AllocationId")],
        },
    )


def _is_gone(described: Mapping[str, Any]) -> bool:
    return described.get("State") in GONE_STATES


COLLECTOR = Collector(
    service="ec2",
    call="DescribeNatGateways",
    kind=NAT_GATEWAY,
    iam_action="ec2:DescribeNatGateways",
    collect=collect,
)
