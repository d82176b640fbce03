"""EC2 instances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scans.aws.clients import AwsClient
from scans.aws.collectors.rows import (
    INSTANCE,
    PAGE_SIZE,
    Collector,
    InstanceRow,
    in_utc,
    tags_of,
    taken,
)

ON_DEMAND = "on-demand"  # AWS's word for it is no word at all
LINUX = "Linux/UNIX"


def collect(client: AwsClient, region: str) -> Iterator[list[InstanceRow]]:
    """The region's instances, one list a page, terminated ones included while AWS lists them.

    `DescribeInstances` counts instances, not reservations, towards a page.
    """
    pages = client.get_paginator("describe_instances").paginate(
        PaginationConfig={"PageSize": PAGE_SIZE}
    )
    for page in pages:
        rows = [
            instance_row(instance, region)
            for reservation in taken(page, "Reservations")
            for instance in reservation.get("Instances", ())
        ]
        if rows:
            yield rows


def instance_row(described: Mapping[str, Any], region: str) -> InstanceRow:
    tags = tags_of(described)
    return InstanceRow(
        region=region,
        resource_id=str(described["InstanceId"]),
        name=tags.get("Name", ""),
        state=str(described.get("State", {}).get("Name", "")),
        tags=tags,
        instance_type=str(described.get("InstanceType", "")),
        availability_zone=str(described.get("Placement", {}).get("AvailabilityZone") or ""),
        lifecycle=str(described.get("InstanceLifecycle") or ON_DEMAND),
        platform=str(described.get("PlatformDetails") or described.get("Platform") or LINUX),
        launched_at=in_utc(described.get("LaunchTime")),
        spec=_spec(described),
    )


def _spec(described: Mapping[str, Any]) -> dict[str, Any]:
    volumes = (mapping.get("Ebs", {}) for mapping in described.get("BlockDeviceMappings", ()))
    return {
        "architecture": described.get("Architecture", ""),
        "image_id": described.get("ImageId", ""),
        "vpc_id": described.get("VpcId", ""),
        "subnet_id": described.get("SubnetId", ""),
        "private_ip": described.get("PrivateIpAddress", ""),
        "public_ip": described.get("PublicIpAddress", ""),
        "tenancy": described.get("Placement", {}).get("Tenancy", ""),
        "state_reason": described.get("StateTransitionReason", ""),
        "volume_ids": [str(volume["VolumeId"]) for volume in volumes if "VolumeId" in volume],
    }


COLLECTOR = Collector(
    service="ec2",
    call="DescribeInstances",
    kind=INSTANCE,
    iam_action="ec2:DescribeInstances",
    collect=collect,
)
