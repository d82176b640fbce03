"""What the measured account holds."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from scans.aws.regions import DEFAULT_REGIONS
from tests.aws_simulator.estate import outside
from tests.aws_simulator.seed import seed, share

REGIONS = DEFAULT_REGIONS
INSTANCES = 2000  # each with its own volume
UNATTACHED_VOLUMES = 300
ADDRESSES = 40
DATABASES = 50
RESOURCES = 2 * INSTANCES + UNATTACHED_VOLUMES + ADDRESSES + DATABASES


def fill(endpoint_url: str) -> None:
    """Put it into an empty simulator, evenly over the regions."""
    seed(
        endpoint_url,
        regions=REGIONS,
        instances=INSTANCES,
        unattached_volumes=UNATTACHED_VOLUMES,
        addresses=ADDRESSES,
    )
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda region: _databases(endpoint_url, region, REGIONS), REGIONS))


def _databases(endpoint_url: str, region: str, regions: Sequence[str]) -> None:
    client = outside(endpoint_url, "rds", region)
    for number in range(share(DATABASES, regions, region)):
        client.create_db_instance(
            DBInstanceIdentifier=f"database-{number}",
            DBInstanceClass="db.m5.large",
            Engine="postgres",
            AllocatedStorage=100,
            StorageType="gp3",
            MasterUsername="somebody",
            MasterUserPassword="something-long",
        )
