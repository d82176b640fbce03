"""What collectors hand on: plain rows, one a resource, in pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol, TypeAlias

from scans.aws.clients import AwsClient

INSTANCE = "ec2_instance"
VOLUME = "ebs_volume"
ADDRESS = "elastic_ip"
SNAPSHOT = "ebs_snapshot"
IMAGE = "machine_image"
DATABASE = "rds_instance"
DATABASE_SNAPSHOT = "rds_snapshot"
LOAD_BALANCER = "load_balancer"
NAT_GATEWAY = "nat_gateway"
BUCKET = "s3_bucket"

PAGE_SIZE = 500  # rows a page: as fast to store as 2,000, and a page stays small in memory

Spec: TypeAlias = dict[str, Any]  # what JSON can hold


@dataclass(frozen=True, kw_only=True)
class ResourceRow:
    """One resource as AWS describes it. `monthly_cost_usd` is at list price, `None` if unknown."""

    region: str
    resource_id: str
    kind: str
    name: str
    state: str
    tags: dict[str, str] = field(default_factory=dict)
    spec: Spec = field(default_factory=dict)
    monthly_cost_usd: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class InstanceRow(ResourceRow):
    """One EC2 instance. A `terminated` one is gone, though AWS lists it for an hour more."""

    kind: str = INSTANCE
    instance_type: str
    availability_zone: str = ""
    lifecycle: str = "on-demand"  # or spot, scheduled, capacity-block
    platform: str = ""
    launched_at: datetime | None = None

    @property
    def is_gone(self) -> bool:
        return self.state == "terminated"


class Collect(Protocol):
    def __call__(self, client: AwsClient, region: str) -> Iterator[Sequence[ResourceRow]]: ...


@dataclass(frozen=True)
class Collector:
    """One call to one service, asked in each region: with the region it is a unit of a scan."""

    service: str  # "ec2"
    call: str  # "DescribeInstances"
    kind: str  # of the rows
    iam_action: str  # what the customer's policy must allow
    collect: Collect


def tags_of(described: Mapping[str, Any]) -> dict[str, str]:
    """AWS's list of keys and values as one mapping."""
    return {str(tag["Key"]): str(tag.get("Value", "")) for tag in described.get("Tags") or ()}


def in_utc(instant: datetime | None) -> datetime | None:
    """AWS's instants carry the zone of this machine."""
    return instant.astimezone(UTC) if instant else None
