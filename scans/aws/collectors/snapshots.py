"""EBS snapshots of the account's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scans.aws.clients import AwsClient
from scans.aws.collectors.rows import (
    PAGE_SIZE,
    SNAPSHOT,
    Collector,
    ResourceRow,
    instant_text,
    tags_of,
    taken,
)

STANDARD = "standard"


def collect(client: AwsClient, region: str) -> Iterator[list[ResourceRow]]:
    """The region's snapshots, one list a page; never the public ones of others.

    Spec: volume_id, size_gb (of the volume: AWS does not tell what a snapshot really holds),
    started_at, description, storage_tier (standard | archive), encrypted, owner_id.
    """
    pages = client.get_paginator("describe_snapshots").paginate(
        OwnerIds=["self"], PaginationConfig={"PageSize": PAGE_SIZE}
    )
    for page in pages:
        if rows := [snapshot_row(snapshot, region) for snapshot in taken(page, "Snapshots")]:
            yield rows


def snapshot_row(described: Mapping[str, Any], region: str) -> ResourceRow:
    tags = tags_of(described)
    owner_id = str(described.get("OwnerId", ""))
    return ResourceRow(
        region=region,
        resource_id=str(described["SnapshotId"]),
        kind=SNAPSHOT,
        name=tags.get("Name", ""),
        state=str(described.get("State", "")),
        tags=tags,
        owner_id=owner_id,
        spec={
            "volume_id": described.get("VolumeId", ""),
            "size_gb": described.get("VolumeSize", 0),
            "started_at": instant_text(described.get("StartTime")),
            "description": described.get("Description", ""),
            "storage_tier": described.get("StorageTier") or STANDARD,
            "encrypted": bool(described.get("Encrypted")),
            "owner_id": owner_id,
        },
    )


COLLECTOR = Collector(
    service="ec2",
    call="DescribeSnapshots",
    kind=SNAPSHOT,
    iam_action="ec2:DescribeSnapshots",
    collect=collect,
)
