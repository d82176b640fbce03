"""boto3 as one would write it first: a client a region and service, one call after the other,
nothing kept. `python -m benchmarks.aws.sequential` answers in JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import boto3

from scans.aws.regions import DEFAULT_REGIONS


def main() -> None:
    session = boto3.Session()
    resources = sum(_count(session, region) for region in DEFAULT_REGIONS)
    json.dump({"resources": resources}, sys.stdout)


def _count(session: boto3.Session, region: str) -> int:
    ec2, rds = session.client("ec2", region), session.client("rds", region)
    instances = sum(
        len(reservation["Instances"])
        for page in _pages(ec2, "describe_instances")
        for reservation in page["Reservations"]
    )
    volumes = sum(len(page["Volumes"]) for page in _pages(ec2, "describe_volumes"))
    addresses = len(ec2.describe_addresses()["Addresses"])
    databases = sum(len(page["DBInstances"]) for page in _pages(rds, "describe_db_instances"))
    return instances + volumes + addresses + databases


def _pages(client: Any, operation: str) -> Iterator[Any]:
    yield from client.get_paginator(operation).paginate()


if __name__ == "__main__":
    main()
