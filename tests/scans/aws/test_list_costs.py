"""What a thing costs a month, against sums done by hand at the built-in prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from scans.aws.collectors.costs import monthly_usd
from scans.aws.collectors.rows import InstanceRow, ResourceRow
from scans.aws.prices import BUILT_IN_BOOK

REGION = "us-east-1"
HOURS = 730


def row(kind: str, state: str = "available", **spec: Any) -> ResourceRow:
    return ResourceRow(region=REGION, resource_id="x", kind=kind, name="", state=state, spec=spec)


def instance(**overrides: Any) -> InstanceRow:
    fields: dict[str, Any] = {
        "region": REGION,
        "resource_id": "i-1",
        "name": "",
        "state": "running",
        "instance_type": "t3.micro",
        "platform": "Linux/UNIX",
    }
    return InstanceRow(**{**fields, **overrides})


def database(**spec: Any) -> ResourceRow:
    usual = {
        "instance_class": "db.m5.large",
        "engine": "postgres",
        "multi_az": False,
        "storage_type": "gp2",
        "storage_gb": 100,
        "iops": None,
        "cluster_id": "",
    }
    return row("rds_instance", spec.pop("state", "available"), **{**usual, **spec})


@pytest.mark.parametrize(
    ("thing", "usd"),
    [
        (instance(), Decimal("0.0104") * HOURS),
        (instance(state="stopped"), Decimal(0)),
        (instance(lifecycle="spot"), None),
        (instance(spec={"tenancy": "dedicated"}), None),
        (instance(platform="SUSE Linux"), None),
        (instance(instance_type="u-12tb1.112xlarge"), None),
        (row("ebs_volume", volume_type="gp3", size_gb=100), Decimal(8)),
        (row("ebs_volume", volume_type="gp9", size_gb=100), None),
        (row("elastic_ip"), Decimal("3.65")),
        (row("elastic_ip", is_own_range=True), Decimal(0)),
        (row("ebs_snapshot", size_gb=50, storage_tier="standard"), Decimal("2.5")),
        (row("ebs_snapshot", size_gb=50, storage_tier="archive"), None),
        (row("machine_image"), Decimal(0)),
        (database(), Decimal("0.178") * HOURS + Decimal("11.5")),
        (database(multi_az=True), Decimal("0.356") * HOURS + Decimal("23")),
        (database(state="stopped"), Decimal("11.5")),
        (database(engine="oracle-ee"), None),
        (row("rds_snapshot", size_gb=100, snapshot_type="manual"), Decimal("9.5")),
        (row("rds_snapshot", size_gb=100, snapshot_type="automated"), None),
        (row("load_balancer", type="application"), Decimal("0.0225") * HOURS),
        (row("load_balancer", type="classic"), Decimal("0.025") * HOURS),
        (row("nat_gateway"), Decimal("0.045") * HOURS),
        (row("s3_bucket"), None),  # until CloudWatch tells its size
    ],
)
def test_cost_a_month(thing: ResourceRow, usd: Decimal | None) -> None:
    assert monthly_usd(thing, BUILT_IN_BOOK) == usd
