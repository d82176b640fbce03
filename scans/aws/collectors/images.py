"""Machine images (AMIs) of the account's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scans.aws.clients import AwsClient
from scans.aws.collectors.rows import IMAGE, PAGE_SIZE, Collector, ResourceRow, tags_of, taken


def collect(client: AwsClient, region: str) -> Iterator[list[ResourceRow]]:
    """The region's own images, one list a page, disabled ones included: they too hold snapshots.

    An image costs nothing by itself, its snapshots do. Spec: image_name, snapshot_ids,
    created_at, description, root_device_type, architecture, is_public, owner_id.
    """
    pages = client.get_paginator("describe_images").paginate(
        Owners=["self"], IncludeDisabled=True, PaginationConfig={"PageSize": PAGE_SIZE}
    )
    for page in pages:
        if rows := [image_row(image, region) for image in taken(page, "Images")]:
            yield rows


def image_row(described: Mapping[str, Any], region: str) -> ResourceRow:
    tags = tags_of(described)
    image_name = str(described.get("Name", ""))
    owner_id = str(described.get("OwnerId", ""))
    return ResourceRow(
        region=region,
        resource_id=str(described["ImageId"]),
        kind=IMAGE,
        name=tags.get("Name", "") or image_name,
        state=str(described.get("State", "")),
        tags=tags,
        owner_id=owner_id,
        spec={
            "image_name": image_name,
            "snapshot_ids": _snapshot_ids(described),
            "created_at": _created_at(described),
            "description": described.get("Description", ""),
            "root_device_type": described.get("RootDeviceType", ""),
            "architecture": described.get("Architecture", ""),
            "is_public": bool(described.get("Public")),
            "owner_id": owner_id,
        },
    )


def _snapshot_ids(described: Mapping[str, Any]) -> list[str]:
    disks = (mapping.get("Ebs") or {} for mapping in described.get("BlockDeviceMappings") or ())
    return [str(disk["SnapshotId"]) for disk in disks if disk.get("SnapshotId")]


def _created_at(described: Mapping[str, Any]) -> str | None:
    """AWS gives this instant as text already, with a Z."""
    text = str(described.get("CreationDate") or "")
    return text.replace("Z", "+00:00") or None


COLLECTOR = Collector(
    service="ec2",
    call="DescribeImages",
    kind=IMAGE,
    iam_action="ec2:DescribeImages",
    collect=collect,
)
