"""EBS volumes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scans.aws.clients import AwsClient
from scans.aws.collectors.rows import (
    PAGE_SIZE,
    VOLUME,
    Collector,
    ResourceRow,
    in_utc,
    tags_of,
    taken,
)


def collect(client: AwsClient, region: str) -> Iterator[list[ResourceRow]]:
    """The region's volumes, one list a page."""
    pages = client.get_paginator("describe_volumes").paginate(
        PaginationConfig={"PageSize": PAGE_SIZE}
    )
    for page in pages:
        if rows := [volume_row(volume, region) for volume in taken(page, "Volumes")]:
            yield rows


def volume_row(described: Mapping[str, Any], region: str) -> ResourceRow:
    tags = tags_of(described)
    return ResourceRow(
        region=region,
        resource_id=str(described["VolumeId"]),
        kind=VOLUME,
        name=tags.get("Name", ""),
        state=str(described.get("State", "")),
        tags=tags,
        spec=_spec(described),
    )


def _spec(described: Mapping[str, Any]) -> dict[str, Any]:
    created_at = in_utc(described.get("CreateTime"))
    return {
        "volume_type": described.get("VolumeType", ""),
        "size_gb": described.get("Size", 0),
        "iops": described.get("Iops"),
        "throughput_mbps": described.get("Throughput"),
        "encrypted": bool(described.get("Encrypted")),
        "snapshot_id": described.get("SnapshotId", ""),
        "availability_zone": described.get("AvailabilityZone", ""),
        "created_at": created_at.isoformat() if created_at else None,
        "attached_to": [
            str(attachment["InstanceId"])
            for attachment in described.get("Attachments", ())
            if attachment.get("InstanceId")
        ],
    }


COLLECTOR = Collector(
    service="ec2",
    call="DescribeVolumes",
    kind=VOLUME,
    iam_action="ec2:DescribeVolumes",
    collect=collect,
)
