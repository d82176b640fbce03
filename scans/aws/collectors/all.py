"""Every collector of a scan."""

from __future__ import annotations

from scans.aws.collectors import addresses, instances, volumes
from scans.aws.collectors.rows import Collector

COLLECTORS: tuple[Collector, ...] = (
    instances.COLLECTOR,
    volumes.COLLECTOR,
    addresses.COLLECTOR,
)
