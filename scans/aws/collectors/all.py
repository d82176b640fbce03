"""Every collector of a scan."""

from __future__ import annotations

from scans.aws.collectors import (
    addresses,
    buckets,
    classic_balancers,
    database_snapshots,
    databases,
    images,
    instances,
    load_balancers,
    nat_gateways,
    snapshots,
    volumes,
)
from scans.aws.collectors.rows import Collector

# What rules judge most, first: a scan that is cut short has seen that.
COLLECTORS: tuple[Collector, ...] = (
    instances.COLLECTOR,
    volumes.COLLECTOR,
    addresses.COLLECTOR,
    snapshots.COLLECTOR,
    images.COLLECTOR,
    nat_gateways.COLLECTOR,
    databases.COLLECTOR,
    database_snapshots.COLLECTOR,
    load_balancers.COLLECTOR,
    classic_balancers.COLLECTOR,
    buckets.COLLECTOR,
)
