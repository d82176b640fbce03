"""Elastic IP addresses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scans.aws.clients import AwsClient
from scans.aws.collectors.rows import ADDRESS, PAGE_SIZE, Collector, ResourceRow, tags_of

ASSOCIATED = "associated"
UNASSOCIATED = "unassociated"


def collect(client: AwsClient, region: str) -> Iterator[list[ResourceRow]]:
    """The region's addresses, in lists of at most a page. AWS answers them all at once."""
    addresses = client.describe_addresses().get("Addresses", [])
    for start in range(0, len(addresses), PAGE_SIZE):
        yield [address_row(address, region) for address in addresses[start : start + PAGE_SIZE]]


def address_row(described: Mapping[str, Any], region: str) -> ResourceRow:
    tags = tags_of(described)
    public_ip = str(described.get("PublicIp", ""))
    in_use_by = _in_use_by(described)
    return ResourceRow(
        region=region,
        # Addresses of EC2-Classic have no allocation id.
        resource_id=str(described.get("AllocationId") or public_ip),
        kind=ADDRESS,
        name=tags.get("Name", "") or public_ip,
        state=ASSOCIATED if in_use_by else UNASSOCIATED,
        tags=tags,
        spec={
            "public_ip": public_ip,
            "associated_with": in_use_by,
            "association_id": described.get("AssociationId", ""),
            "is_own_range": _is_own_range(described),
            "network_border_group": described.get("NetworkBorderGroup", ""),
        },
    )


def _in_use_by(described: Mapping[str, Any]) -> str:
    """The instance or network interface behind it. A NAT gateway or load balancer is there by its
    interface."""
    names = ("InstanceId", "NetworkInterfaceId", "AssociationId")
    return next((str(described[name]) for name in names if described.get(name)), "")


def _is_own_range(described: Mapping[str, Any]) -> bool:
    """Of an address range the customer brought along, which AWS does not charge for."""
    pool = str(described.get("PublicIpv4Pool") or "amazon")
    return pool != "amazon" or bool(described.get("CustomerOwnedIp"))


COLLECTOR = Collector(
    service="ec2",
    call="DescribeAddresses",
    kind=ADDRESS,
    iam_action="ec2:DescribeAddresses",
    collect=collect,
)
