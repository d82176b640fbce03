"""One of each thing a scan collects, in one region of the simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config

from scans.aws.simulator import SIMULATED_KEYS

IMAGE_ID = "ami-0abcdef1234567890"


@dataclass(frozen=True)
class Estate:
    """What was put there, by the ids a scan knows it by."""

    instance_id: str
    volume_id: str
    allocation_id: str
    snapshot_id: str
    image_id: str
    image_snapshot_id: str
    nat_gateway_id: str
    database_id: str
    database_snapshot_id: str
    balancer_arn: str
    target_group: str
    classic_name: str
    bucket: str


def outside(endpoint_url: str, service: str, region: str) -> Any:
    """A plain client, without our throttle: the world outside, not the code under test."""
    session = boto3.Session(
        SIMULATED_KEYS.access_key_id, SIMULATED_KEYS.secret_access_key, region_name=region
    )
    config = Config(proxies={}, retries={"total_max_attempts": 1}, read_timeout=60)
    return session.client(service, endpoint_url=endpoint_url, config=config)


def build(endpoint_url: str, region: str, *, name: str = "one") -> Estate:
    """Each thing is called or tagged `name`."""
    ec2 = outside(endpoint_url, "ec2", region)
    tags = [{"Key": "Name", "Value": name}]
    instance = ec2.run_instances(ImageId=IMAGE_ID, InstanceType="m5.large", MinCount=1, MaxCount=1)[
        "Instances"
    ][0]
    volume = ec2.create_volume(
        AvailabilityZone=f"{region}a",
        Size=50,
        VolumeType="gp3",
        TagSpecifications=[{"ResourceType": "volume", "Tags": tags}],
    )
    snapshot = ec2.create_snapshot(
        VolumeId=volume["VolumeId"],
        Description="before the upgrade",
        TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags}],
    )
    image = ec2.create_image(InstanceId=instance["InstanceId"], Name=f"{name}-image")
    described = ec2.describe_images(ImageIds=[image["ImageId"]])["Images"][0]
    vpc, subnets = _network(ec2, region)
    nat = ec2.create_nat_gateway(
        SubnetId=subnets[0],
        AllocationId=ec2.allocate_address(Domain="vpc")["AllocationId"],
    )["NatGateway"]
    arn, group = _balancer(endpoint_url, region, name, vpc, subnets, instance["InstanceId"])
    return Estate(
        instance_id=instance["InstanceId"],
        volume_id=volume["VolumeId"],
        allocation_id=ec2.allocate_address(Domain="vpc")["AllocationId"],
        snapshot_id=snapshot["SnapshotId"],
        image_id=image["ImageId"],
        image_snapshot_id=described["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"],
        nat_gateway_id=nat["NatGatewayId"],
        database_id=_database(endpoint_url, region, name),
        database_snapshot_id=f"{name}-db-snapshot",
        balancer_arn=arn,
        target_group=group,
        classic_name=_classic(endpoint_url, region, name, instance["InstanceId"]),
        bucket=make_bucket(endpoint_url, region, name),
    )


def put_hours(
    endpoint_url: str,
    region: str,
    namespace: str,
    metric: str,
    dimensions: Mapping[str, str],
    hourly: Sequence[float | None],
    *,
    step: timedelta = timedelta(hours=1),
) -> None:
    """Values of the hours before the present one, the newest last; `None` leaves an hour out."""
    client = outside(endpoint_url, "cloudwatch", region)
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    named = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    data = [
        {
            "MetricName": metric,
            "Dimensions": named,
            "Timestamp": hour - step * (len(hourly) - position),
            "Value": value,
        }
        for position, value in enumerate(hourly)
        if value is not None
    ]
    for start in range(0, len(data), 500):
        client.put_metric_data(Namespace=namespace, MetricData=data[start : start + 500])


def _network(ec2: Any, region: str) -> tuple[str, list[str]]:
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.9.{n}.0/24", AvailabilityZone=f"{region}{zone}"
        )["Subnet"]["SubnetId"]
        for n, zone in enumerate("ab")
    ]
    return vpc, subnets


def _balancer(
    endpoint_url: str, region: str, name: str, vpc: str, subnets: list[str], instance_id: str
) -> tuple[str, str]:
    client = outside(endpoint_url, "elbv2", region)
    arn = client.create_load_balancer(
        Name=f"{name}-balancer", Subnets=subnets, Tags=[{"Key": "team", "Value": "shop"}]
    )["LoadBalancers"][0]["LoadBalancerArn"]
    group = client.create_target_group(Name=f"{name}-targets", Protocol="HTTP", Port=80, VpcId=vpc)[
        "TargetGroups"
    ][0]["TargetGroupArn"]
    client.register_targets(TargetGroupArn=group, Targets=[{"Id": instance_id}])
    client.create_listener(
        LoadBalancerArn=arn,
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )
    return arn, str(group).rpartition(":")[2]


def _classic(endpoint_url: str, region: str, name: str, instance_id: str) -> str:
    client = outside(endpoint_url, "elb", region)
    balancer = f"{name}-classic"
    client.create_load_balancer(
        LoadBalancerName=balancer,
        Listeners=[{"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 80}],
        AvailabilityZones=[f"{region}a"],
        Tags=[{"Key": "team", "Value": "shop"}],
    )
    client.register_instances_with_load_balancer(
        LoadBalancerName=balancer, Instances=[{"InstanceId": instance_id}]
    )
    return balancer


def _database(endpoint_url: str, region: str, name: str) -> str:
    client = outside(endpoint_url, "rds", region)
    database = f"{name}-db"
    client.create_db_instance(
        DBInstanceIdentifier=database,
        DBInstanceClass="db.m5.large",
        Engine="postgres",
        AllocatedStorage=100,
        StorageType="gp2",
        MultiAZ=True,
        MasterUsername="somebody",
        MasterUserPassword="something-long",
        Tags=[{"Key": "team", "Value": "shop"}],
    )
    client.create_db_snapshot(
        DBInstanceIdentifier=database, DBSnapshotIdentifier=f"{name}-db-snapshot"
    )
    return database


def make_bucket(endpoint_url: str, region: str, name: str) -> str:
    client = outside(endpoint_url, "s3", region)
    bucket = f"{name}-bucket-{region}"
    where = {"CreateBucketConfiguration": {"LocationConstraint": region}}
    client.create_bucket(Bucket=bucket, **({} if region == "us-east-1" else where))
    client.create_multipart_upload(Bucket=bucket, Key="never-finished")
    return bucket
