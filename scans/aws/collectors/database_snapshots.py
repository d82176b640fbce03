"""RDS snapshots, those of Aurora clusters not among them: AWS lists them by another call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scans.aws.clients import AwsClient
from scans.aws.collectors.databases import PAGE_SIZE, tags_of_rds
from scans.aws.collectors.rows import DATABASE_SNAPSHOT, Collector, ResourceRow, instant_text, taken


def collect(client: AwsClient, region: str) -> Iterator[list[ResourceRow]]:
    """The region's own snapshots, manual and automated, one list a page.

    Spec: database_id, snapshot_type (manual | automated | awsbackup), engine, size_gb (of the
    database: the snapshot holds less), created_at (of the snapshot), encrypted, arn.
    """
    pages = client.get_paginator("describe_db_snapshots").paginate(
        PaginationConfig={"PageSize": PAGE_SIZE}
    )
    for page in pages:
        if rows := [snapshot_row(snapshot, region) for snapshot in taken(page, "DBSnapshots")]:
            yield rows


def snapshot_row(described: Mapping[str, Any], region: str) -> ResourceRow:
    name = str(described["DBSnapshotIdentifier"])
    return ResourceRow(
        region=region,
        resource_id=name,
        kind=DATABASE_SNAPSHOT,
        name=name,
        state=str(described.get("Status", "")),
        tags=tags_of_rds(described),
        spec={
            "database_id": described.get("DBInstanceIdentifier", ""),
            "snapshot_type": described.get("SnapshotType", ""),
            "engine": described.get("Engine", ""),
            "size_gb": described.get("AllocatedStorage", 0),
            "created_at": instant_text(described.get("SnapshotCreateTime")),
            "encrypted": bool(described.get("Encrypted")),
            "arn": described.get("DBSnapshotArn", ""),
        },
    )


COLLECTOR = Collector(
    service="rds",
    call="DescribeDBSnapshots",
    kind=DATABASE_SNAPSHOT,
    iam_action="rds:DescribeDBSnapshots",
    collect=collect,
)
