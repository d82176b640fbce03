"""A smaller estate planted in AWS itself, scanned, and found out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from scans.aws.simulator import Simulator
from scans.models import Instance, Recommendation, Resource, ScanJob
from scans.services import request_scan
from tests.aws_simulator import estate
from tests.scans.test_aws_scan import make_simulated_account, run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]

REGION = "us-east-1"
TWO_WEEKS = 14 * 24
GIB = 1024**3


def put(url: str, namespace: str, metric: str, value: float, **dimensions: str) -> None:
    """The same value in each hour of two weeks."""
    estate.put_hours(url, REGION, namespace, metric, dimensions, [value] * TWO_WEEKS)


def run_instance(url: str, instance_type: str) -> str:
    ec2 = estate.outside(url, "ec2", REGION)
    started = ec2.run_instances(
        ImageId=estate.IMAGE_ID, InstanceType=instance_type, MinCount=1, MaxCount=1
    )
    return str(started["Instances"][0]["InstanceId"])


def start_instance(url: str, instance_type: str, cpu: float, bytes_an_hour: float) -> str:
    instance_id = run_instance(url, instance_type)
    put_usage(url, instance_id, cpu, bytes_an_hour)
    return instance_id


def put_usage(url: str, instance_id: str, cpu: float, bytes_an_hour: float) -> None:
    put(url, "AWS/EC2", "CPUUtilization", cpu, InstanceId=instance_id)
    put(url, "AWS/EC2", "NetworkIn", bytes_an_hour, InstanceId=instance_id)


def put_nights(url: str, instance_id: str, *, cpu: float, bytes_an_hour: float) -> None:
    """Usage by day, and none from midnight to six."""
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    hours = [(hour - timedelta(hours=ago)).hour for ago in range(TWO_WEEKS, 0, -1)]
    where = {"InstanceId": instance_id}
    for metric, value in (("CPUUtilization", cpu), ("NetworkIn", bytes_an_hour)):
        values = [0.0 if hour < 6 else value for hour in hours]
        estate.put_hours(url, REGION, "AWS/EC2", metric, where, values)


def put_services(url: str, planted: estate.Estate) -> None:
    """An idle database and gateway, a quiet balancer and a busy one, and a large bucket."""
    database = {"DBInstanceIdentifier": planted.database_id}
    put(url, "AWS/RDS", "DatabaseConnections", 0, **database)
    put(url, "AWS/NATGateway", "BytesOutToDestination", 0, NatGatewayId=planted.nat_gateway_id)
    balancer = planted.balancer_arn.partition(":loadbalancer/")[2]
    put(url, "AWS/ApplicationELB", "RequestCount", 1, LoadBalancer=balancer)
    classic = {"LoadBalancerName": planted.classic_name}
    put(url, "AWS/ELB", "RequestCount", 900, **classic)
    put(url, "AWS/ELB", "HealthyHostCount", 1, **classic)
    size = {"BucketName": planted.bucket, "StorageType": "StandardStorage"}
    days = [2000.0 * GIB] * 3
    estate.put_hours(url, REGION, "AWS/S3", "BucketSizeBytes", size, days, step=timedelta(days=1))


def scanned(account: Any) -> ScanJob:
    job = run(request_scan(account))
    assert job.state == "COMPLETED", job.errors
    return job


@pytest.mark.timeout(600)
def test_truths_of_an_estate_are_found_through_a_whole_scan(
    aws_simulator: Simulator, settings: Settings
) -> None:
    # The simulator looks at each figure anew for each hour asked: beside other work longer than
    # the 30 s after which AWS is asked once more, which would give it the same work again.
    settings.AWS_READ_TIMEOUT_SECONDS = 300
    url = aws_simulator.endpoint_url
    planted = estate.build(url, REGION)
    put_usage(url, planted.instance_id, 60, 5e9)
    put_services(url, planted)
    idle = start_instance(url, "m5.xlarge", 1, 1000)
    oversized = start_instance(url, "m5.4xlarge", 12, 5e9)
    previous = start_instance(url, "m4.2xlarge", 60, 5e9)
    asleep = run_instance(url, "m5.large")
    put_nights(url, asleep, cpu=60, bytes_an_hour=5e9)
    unread = start_instance(url, "m5.large", 60, 5e9)
    estate.outside(url, "ec2", REGION).terminate_instances(InstanceIds=[unread])
    account = make_simulated_account(regions=(REGION,))
    scanned(account)
    # A first scan cannot know how long things have been so; a month later they have been.
    long_ago = timezone.now() - timedelta(days=30)
    for model in (Resource, Instance):
        model.objects.update(first_seen_at=long_ago)
    job = scanned(account)
    truths = {
        ("ec2.idle", idle): (0.192 * 730, 0.192 * 730),
        ("ec2.rightsize", oversized): ((0.768 - 0.192) * 730, (0.768 - 0.192) * 730),
        ("ec2.schedule", asleep): (0.096 * 42 * 4.345, 0.096 * 42 * 4.345),
        ("prev_gen", previous): ((0.40 - 0.384) * 730, (0.40 - 0.384) * 730),
        ("ebs.unattached", planted.volume_id): (50 * 0.03, 50 * 0.08),
        ("eip.unassociated", planted.allocation_id): (3.65, 3.65),
        # Two zones, PostgreSQL; deleted with its 100 GB
        ("rds.idle", planted.database_id): (0.178 * 2 * 730, 0.178 * 2 * 730 + 23),
        ("nat.idle", planted.nat_gateway_id): (0.045 * 730, 0.045 * 730),
        ("elb.idle", planted.balancer_arn): (0.0225 * 730, 0.0225 * 730),
        ("s3.no_lifecycle", planted.bucket): (0, 2000 * 0.023 * 0.45),
        # The system disks, of 8 GB
        **{("ebs.gp2_gp3", disk): (0.16, 0.16) for disk in system_disks()},
    }
    found = {
        (row.rule, row.resource_id): (row.saving_low_usd, row.saving_high_usd)
        for row in Recommendation.objects.open()
    }
    assert set(found) == set(truths)
    for key, (low, high) in truths.items():
        assert [float(usd) for usd in found[key]] == pytest.approx([low, high], rel=0.01), key
    summary = job.summary
    for end, name in ((0, "saving_low_usd"), (1, "saving_high_usd")):
        total = sum(truth[end] for truth in truths.values())
        assert float(summary["recommendations"][name]) == pytest.approx(total, rel=0.01)
    assert summary["rules"]["ec2.idle"]["looked_at"] == 5
    assert summary["rules"]["ec2.idle"]["unknown"] == 0
    # Nobody kept figures of the disks.
    assert summary["rules"]["ebs.low_io"]["unknown"] == 5


def system_disks() -> list[str]:
    """The volumes that came with running instances."""
    disks = Resource.objects.present().filter(kind="ebs_volume", state="in-use")
    assert {row.spec["size_gb"] for row in disks} == {8}
    return [row.resource_id for row in disks]
