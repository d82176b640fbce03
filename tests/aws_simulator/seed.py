"""Fill the simulator, fast: instances in batches, one thread a region."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import boto3
from botocore.config import Config

from scans.aws.simulator import SIMULATED_KEYS

FOUR_REGIONS = ("us-east-1", "us-west-2", "eu-west-1", "eu-central-1")
BATCH = 250


@dataclass
class SeededRegion:
    instance_ids: list[str] = field(default_factory=list)
    unattached_volume_ids: list[str] = field(default_factory=list)
    allocation_ids: list[str] = field(default_factory=list)


def seed(
    endpoint_url: str,
    *,
    regions: Sequence[str] = FOUR_REGIONS,
    instances: int = 0,
    unattached_volumes: int = 0,
    addresses: int = 0,
) -> dict[str, SeededRegion]:
    """Put so many into all regions together, evenly; each instance has one volume of 8 GB gp2.

    All addresses are unassociated.
    """
    session = boto3.Session(
        SIMULATED_KEYS.access_key_id, SIMULATED_KEYS.secret_access_key, region_name=regions[0]
    )
    clients = {region: ec2_client(endpoint_url, region, session) for region in regions}
    with ThreadPoolExecutor(len(regions)) as pool:
        tasks = {
            region: pool.submit(
                _seed_region,
                clients[region],
                region,
                share(instances, regions, region),
                share(unattached_volumes, regions, region),
                share(addresses, regions, region),
            )
            for region in regions
        }
        return {region: task.result() for region, task in tasks.items()}


def share(total: int, regions: Sequence[str], region: str) -> int:
    """What of `total` falls to one of the regions; the first get the rest of the division."""
    each, left = divmod(total, len(regions))
    return each + (list(regions).index(region) < left)


def terminate(endpoint_url: str, region: str, instance_ids: Sequence[str]) -> None:
    ec2_client(endpoint_url, region).terminate_instances(InstanceIds=list(instance_ids))


def ec2_client(endpoint_url: str, region: str, session: boto3.Session | None = None) -> Any:
    """A plain client, without our throttle: the world outside, not the code under test."""
    session = session or boto3.Session(
        SIMULATED_KEYS.access_key_id, SIMULATED_KEYS.secret_access_key
    )
    config = Config(proxies={}, retries={"total_max_attempts": 1}, read_timeout=60)
    return session.client("ec2", region_name=region, endpoint_url=endpoint_url, config=config)


def _seed_region(
    client: Any, region: str, instances: int, volumes: int, addresses: int
) -> SeededRegion:
    seeded = SeededRegion()
    for start in range(0, instances, BATCH):
        count = min(BATCH, instances - start)
        answer = client.run_instances(
            ImageId="ami-0abcdef1234567890",
            InstanceType="t3.micro",
            MinCount=count,
            MaxCount=count,
        )
        seeded.instance_ids += [instance["InstanceId"] for instance in answer["Instances"]]
    create = partial(client.create_volume, AvailabilityZone=f"{region}a", Size=100)
    seeded.unattached_volume_ids = [create(VolumeType="gp3")["VolumeId"] for _ in range(volumes)]
    seeded.allocation_ids = [
        client.allocate_address(Domain="vpc")["AllocationId"] for _ in range(addresses)
    ]
    return seeded
