"""RDS database instances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scans.aws.clients import AwsClient
from scans.aws.collectors.rows import DATABASE, Collector, ResourceRow, instant_text, taken

PAGE_SIZE = 100  # RDS gives no more


def collect(client: AwsClient, region: str) -> Iterator[list[ResourceRow]]:
    """The region's database instances, members of Aurora clusters included, one list a page.

    Spec: instance_class, engine, engine_version, license_model, multi_az, storage_type,
    storage_gb, iops, throughput_mbps, created_at, is_replica (of another instance), replica_of,
    replica_ids, cluster_id (Aurora or Multi-AZ cluster, whose storage is billed by the cluster),
    availability_zone, deletion_protection, arn.
    """
    pages = client.get_paginator("describe_db_instances").paginate(
        PaginationConfig={"PageSize": PAGE_SIZE}
    )
    for page in pages:
        if rows := [database_row(database, region) for database in taken(page, "DBInstances")]:
            yield rows


def database_row(described: Mapping[str, Any], region: str) -> ResourceRow:
    name = str(described["DBInstanceIdentifier"])
    return ResourceRow(
        region=region,
        resource_id=name,
        kind=DATABASE,
        name=name,
        state=str(described.get("DBInstanceStatus", "")),
        tags=tags_of_rds(described),
        spec=_spec(described),
    )


def tags_of_rds(described: Mapping[str, Any]) -> dict[str, str]:
    return {
        str(tag["Key"]): str(tag.get("Value", ""))
        for tag in described.get("TagList") or ()
        if "Key" in tag
    }


def _spec(described: Mapping[str, Any]) -> dict[str, Any]:
    replica_of = described.get("ReadReplicaSourceDBInstanceIdentifier") or ""
    return {
        "instance_class": described.get("DBInstanceClass", ""),
        "engine": described.get("Engine", ""),
        "engine_version": described.get("EngineVersion", ""),
        "license_model": described.get("LicenseModel", ""),
        "multi_az": bool(described.get("MultiAZ")),
        "storage_type": described.get("StorageType", ""),
        "storage_gb": described.get("AllocatedStorage", 0),
        "iops": described.get("Iops"),
        "throughput_mbps": described.get("StorageThroughput"),
        "created_at": instant_text(described.get("InstanceCreateTime")),
        "is_replica": bool(replica_of),
        "replica_of": replica_of,
        "replica_ids": list(described.get("ReadReplicaDBInstanceIdentifiers") or ()),
        "cluster_id": described.get("DBClusterIdentifier") or "",
        "availability_zone": described.get("AvailabilityZone") or "",
        "deletion_protection": bool(described.get("DeletionProtection")),
        "arn": described.get("DBInstanceArn", ""),
    }


COLLECTOR = Collector(
    service="rds",
    call="DescribeDBInstances",
    kind=DATABASE,
    iam_action="rds:DescribeDBInstances",
    collect=collect,
)
