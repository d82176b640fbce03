"""Collectors against the simulator: what was put there is what comes back."""

from __future__ import annotations

import socket
from collections import Counter
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import AWSResponse

from scans.aws.clients import AwsSession, open_session
from scans.aws.collectors import instances, snapshots, volumes
from scans.aws.collectors.addresses import address_row
from scans.aws.collectors.all import COLLECTORS
from scans.aws.collectors.costs import monthly_usd
from scans.aws.collectors.load_balancers import is_healthy
from scans.aws.collectors.rows import PAGE_SIZE, ResourceRow
from scans.aws.errors import AWS_ERRORS, Outcome, classify
from scans.aws.prices import BUILT_IN_BOOK
from scans.aws.regions import DEFAULT_REGIONS, enabled_regions, select_regions
from scans.aws.runner import Page, Unit, UnitEnd, look
from scans.aws.simulator import SIMULATED_KEYS, Simulator, seed_demo
from tests.aws_simulator import estate
from tests.aws_simulator.fault_proxy import FaultProxy
from tests.aws_simulator.seed import FOUR_REGIONS, seed, terminate


def collect_all(session: AwsSession, regions: tuple[str, ...] = FOUR_REGIONS) -> list[ResourceRow]:
    return [
        row
        for region in regions
        for collector in COLLECTORS
        for page in collector.collect(session.client(collector.service, region), region)
        for row in page
    ]


def look_at_all(region: str) -> tuple[list[UnitEnd], list[ResourceRow]]:
    """Every collector in one region, as a scan looks."""
    with open_session(SIMULATED_KEYS) as session:
        session.caller_identity()
        items = [item for c in COLLECTORS for item in look(session, Unit(c, region))]
    rows = [row for item in items if isinstance(item, Page) for row in item.rows]
    return [item for item in items if isinstance(item, UnitEnd)], rows


@pytest.mark.services
def test_counts_equal_what_was_put_there(aws_simulator: Simulator) -> None:
    seeded = seed(aws_simulator.endpoint_url, instances=602, unattached_volumes=30, addresses=10)
    terminate(aws_simulator.endpoint_url, "us-east-1", seeded["us-east-1"].instance_ids[:10])
    with open_session(SIMULATED_KEYS) as session:
        rows = collect_all(session)
    assert Counter((row.kind, row.state) for row in rows) == {
        ("ec2_instance", "running"): 592,
        ("ec2_instance", "terminated"): 10,
        ("ebs_volume", "in-use"): 592,
        ("ebs_volume", "available"): 30,
        ("elastic_ip", "unassociated"): 10,
    }
    assert {row.resource_id for row in rows if row.state == "terminated"} == set(
        seeded["us-east-1"].instance_ids[:10]
    )


@pytest.mark.services
def test_one_of_each_thing_comes_back_with_what_rules_ask(aws_simulator: Simulator) -> None:
    built = estate.build(aws_simulator.endpoint_url, "eu-west-1")
    ends, rows = look_at_all("eu-west-1")
    assert {end.outcome.outcome for end in ends} == {Outcome.OK}
    found = {row.resource_id: row for row in rows}
    snapshot = found[built.snapshot_id]
    assert snapshot.spec["volume_id"] == built.volume_id
    assert (snapshot.spec["size_gb"], snapshot.spec["storage_tier"]) == (50, "standard")
    assert found[built.image_id].spec["snapshot_ids"] == [built.image_snapshot_id]
    database = found[built.database_id]
    assert database.tags == {"team": "shop"}
    expected = {"instance_class": "db.m5.large", "engine": "postgres", "multi_az": True}
    assert database.spec.items() >= expected.items()
    assert found[built.database_snapshot_id].spec["database_id"] == built.database_id
    assert found[built.database_snapshot_id].spec["snapshot_type"] == "manual"
    gateway = found[built.nat_gateway_id]
    assert gateway.spec["connectivity_type"] == "public"
    assert len(gateway.spec["allocation_ids"]) == 1
    balancer, classic = found[built.balancer_arn], found[built.classic_name]
    assert balancer.spec.items() >= {"type": "application", "healthy_targets": 1}.items()
    assert balancer.spec["target_groups"] == [built.target_group]
    assert classic.spec.items() >= {"type": "classic", "healthy_targets": 1}.items()
    assert balancer.tags == classic.tags == {"team": "shop"}
    bucket = found[built.bucket]
    assert (bucket.region, bucket.spec["lifecycle_rules"]) == ("eu-west-1", 0)
    assert (bucket.spec["incomplete_uploads"], bucket.spec["aborts_uploads"]) == (1, False)


@pytest.mark.parametrize(
    ("health", "healthy"),
    [
        ({"State": "healthy"}, True),
        ({"State": "unhealthy", "Reason": "Target.Timeout"}, False),
        ({"State": "unavailable", "Reason": "Target.HealthCheckDisabled"}, True),
        ({"State": "unused", "Reason": "Target.NotInUse"}, False),
        ({}, False),
    ],
)
def test_a_function_that_is_not_checked_counts_as_healthy(
    health: dict[str, str], healthy: bool
) -> None:
    assert is_healthy({"Target": {"Id": "x"}, "TargetHealth": health}) == healthy


@pytest.mark.services
def test_what_others_made_public_is_not_ours(aws_simulator: Simulator) -> None:
    client = estate.outside(aws_simulator.endpoint_url, "ec2", "eu-west-1")
    volume = client.create_volume(AvailabilityZone="eu-west-1a", Size=1)
    client.create_snapshot(VolumeId=volume["VolumeId"])
    with open_session(SIMULATED_KEYS) as session:
        session.account_id = "999999999999"
        (page, end) = look(session, Unit(snapshots.COLLECTOR, "eu-west-1"))
    assert isinstance(page, Page)
    assert isinstance(end, UnitEnd)
    assert (list(page.rows), end.report.rows) == ([], 0)


@pytest.mark.services
def test_buckets_are_listed_by_their_own_region_only(aws_simulator: Simulator) -> None:
    for region in ("eu-west-1", "us-east-1"):
        estate.make_bucket(aws_simulator.endpoint_url, region, "one")
    for region in ("eu-west-1", "us-east-1"):
        _, rows = look_at_all(region)
        assert [r.resource_id for r in rows if r.kind == "s3_bucket"] == [f"one-bucket-{region}"]


@pytest.mark.services
def test_lifecycle_and_tags_of_a_bucket(aws_simulator: Simulator) -> None:
    name = estate.make_bucket(aws_simulator.endpoint_url, "eu-west-1", "one")
    client = estate.outside(aws_simulator.endpoint_url, "s3", "eu-west-1")
    aborting = {"DaysAfterInitiation": 7}
    rules = [
        {
            "ID": "a",
            "Status": "Enabled",
            "Filter": {},
            "AbortIncompleteMultipartUpload": aborting,
        },
        {"ID": "b", "Status": "Disabled", "Filter": {}, "Expiration": {"Days": 9}},
    ]
    client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})
    client.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    _, rows = look_at_all("eu-west-1")
    (bucket,) = [row for row in rows if row.kind == "s3_bucket"]
    assert (bucket.spec["lifecycle_rules"], bucket.spec["aborts_uploads"]) == (1, True)
    assert bucket.tags == {"a": "b"}


@pytest.mark.services
def test_demo_is_the_same_each_time_and_holds_what_it_says(aws_simulator: Simulator) -> None:
    found = []
    for _ in range(2):
        seeded = seed_demo(aws_simulator.endpoint_url)
        with open_session(SIMULATED_KEYS) as session:
            found.append(
                {row.resource_id: row for row in collect_all(session, enabled_regions(session))}
            )
    assert found[0].keys() == found[1].keys()
    counts = Counter((row.kind, row.state) for row in found[1].values())
    assert counts["ebs_volume", "available"] == seeded.unattached_volumes
    assert counts["elastic_ip", "unassociated"] == seeded.unassociated_addresses
    assert counts["elastic_ip", "associated"] == seeded.addresses - seeded.unassociated_addresses
    assert counts["ec2_instance", "running"] + counts["ec2_instance", "stopped"] == seeded.instances
    assert counts["ec2_instance", "stopped"] == 2


@pytest.mark.services
def test_demo_is_the_same_after_callers_who_did_not_wait(aws_simulator: Simulator) -> None:
    seed_demo(aws_simulator.endpoint_url)
    undisturbed = ids_of_instances()
    for _ in range(3):
        seed(aws_simulator.endpoint_url, instances=200, unattached_volumes=0, addresses=0)
        for region in FOUR_REGIONS:
            ask_and_leave(aws_simulator.endpoint_url, region, "DescribeInstances")
            ask_and_leave(aws_simulator.endpoint_url, region, "CreateVpc&CidrBlock=10.0.0.0/16")
        seed_demo(aws_simulator.endpoint_url)
        assert ids_of_instances() == undisturbed


def ids_of_instances() -> set[str]:
    with open_session(SIMULATED_KEYS) as session:
        return {
            row.resource_id
            for region in FOUR_REGIONS
            for page in instances.collect(session.client("ec2", region), region)
            for row in page
        }


def ask_and_leave(endpoint_url: str, region: str, action: str) -> None:
    """As a scan that is killed while it waits for an answer."""
    address = urlsplit(endpoint_url)
    body = f"Action={action}&Version=2016-11-15"
    credential = f"Credential=A/20260101/{region}/ec2/aws4_request"
    with socket.create_connection((str(address.hostname), int(address.port or 0))) as caller:
        caller.sendall(
            f"POST / HTTP/1.1\r\nHost: ec2.{region}.amazonaws.com\r\n"
            f"Authorization: AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )


@pytest.mark.services
def test_regions_that_are_off_are_left_out_and_a_choice_is_kept(aws_simulator: Simulator) -> None:
    with open_session(SIMULATED_KEYS) as session:
        everything = select_regions(session)
        chosen = select_regions(session, ["eu-west-1", "mx-central-1", "us-east-1"])
    assert set(DEFAULT_REGIONS) <= set(everything.enabled)
    assert "mx-central-1" not in everything.enabled
    assert chosen.enabled == ("eu-west-1", "us-east-1")
    assert chosen.not_enabled == ("mx-central-1",)


@pytest.mark.services
def test_denied_list_of_regions_scans_the_regions_everybody_has(fault_proxy: FaultProxy) -> None:
    fault_proxy.deny("DescribeRegions")
    with open_session(SIMULATED_KEYS) as session:
        selection = select_regions(session)
    assert selection.enabled == DEFAULT_REGIONS
    assert selection.problem is not None
    assert selection.problem.outcome == Outcome.DENIED
    assert selection.problem.missing_action == "ec2:DescribeRegions"


@pytest.mark.services
def test_denied_region_fails_alone(fault_proxy: FaultProxy, aws_simulator: Simulator) -> None:
    seed(aws_simulator.endpoint_url, instances=8)
    fault_proxy.deny("DescribeInstances", region="eu-west-1")
    outcomes = {}
    with open_session(SIMULATED_KEYS) as session:
        for region in FOUR_REGIONS:
            try:
                pages = list(instances.collect(session.client("ec2", region), region))
            except AWS_ERRORS as error:
                outcomes[region] = classify(error, region=region).outcome.value
            else:
                outcomes[region] = str(sum(map(len, pages)))
    assert outcomes == {
        "us-east-1": "2",
        "us-west-2": "2",
        "eu-west-1": "denied",
        "eu-central-1": "2",
    }


@pytest.mark.services
def test_throttled_calls_are_repeated_and_slow_us_down(fault_proxy: FaultProxy) -> None:
    fault_proxy.throttle(2, action="DescribeVolumes", region="us-east-1")
    with open_session(SIMULATED_KEYS) as session:
        client = session.client("ec2", "us-east-1")
        assert list(volumes.collect(client, "us-east-1")) == []
        rate = session.throttle.bucket("us-east-1", "ec2").rate
    assert fault_proxy.counts()["DescribeVolumes", "us-east-1"] == 3
    assert rate < 9


@pytest.mark.parametrize("collector", COLLECTORS, ids=lambda c: f"{c.service} {c.call}")
def test_every_collector_says_which_permission_it_needs(collector: Any) -> None:
    named_otherwise = {
        "s3": "s3:ListAllMyBuckets",
        "elb": "elasticloadbalancing:DescribeLoadBalancers",
        "elbv2": "elasticloadbalancing:DescribeLoadBalancers",
    }
    by_name = f"{collector.service}:{collector.call}"
    assert collector.iam_action == named_otherwise.get(collector.service, by_name)
    assert len(set(collector.iam_actions)) == 1 + len(collector.details)


def test_pages_are_asked_for_one_by_one_and_handed_on_at_once() -> None:
    """The simulator never pages volumes, so the wire is played by hand."""
    asked: list[str] = []
    with open_session(SIMULATED_KEYS) as session:
        client = session.client("ec2", "us-east-1")

        def answer(request: Any, **_: Any) -> AWSResponse:
            body = request.body.decode() if isinstance(request.body, bytes) else request.body
            asked.append(body)
            return _volumes_page(
                f"vol-{len(asked)}", next_token=f"page-{len(asked)}" if len(asked) < 3 else ""
            )

        client.meta.events.register("before-send.ec2.DescribeVolumes", answer)
        pages = volumes.collect(client, "us-east-1")
        assert [row.resource_id for row in next(pages)] == ["vol-1"]
        assert len(asked) == 1  # the second page is not fetched before somebody wants it
        assert [row.resource_id for page in pages for row in page] == ["vol-2", "vol-3"]
    assert all(f"MaxResults={PAGE_SIZE}" in body for body in asked)
    assert "NextToken" not in asked[0]
    assert "NextToken=page-1" in asked[1]
    assert "NextToken=page-2" in asked[2]


def test_address_behind_a_network_interface_is_in_use_and_an_own_range_is_free() -> None:
    nat = {"AllocationId": "eipalloc-1", "PublicIp": "203.0.113.1", "NetworkInterfaceId": "eni-1"}
    own = {"AllocationId": "eipalloc-2", "PublicIp": "203.0.113.2", "PublicIpv4Pool": "ipv4pool-1"}
    assert address_row(nat, "us-east-1").state == "associated"
    assert monthly_usd(address_row(nat, "us-east-1"), BUILT_IN_BOOK) == Decimal("3.65")
    assert monthly_usd(address_row(own, "us-east-1"), BUILT_IN_BOOK) == 0


def _volumes_page(volume_id: str, next_token: str) -> AWSResponse:
    token = f"<nextToken>{next_token}</nextToken>" if next_token else ""
    body = (
        '<DescribeVolumesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><volumeSet>'
        f"<item><volumeId>{volume_id}</volumeId><size>8</size><volumeType>gp3</volumeType>"
        f"<status>in-use</status></item></volumeSet>{token}</DescribeVolumesResponse>"
    )
    return AWSResponse("http://127.0.0.1", 200, {}, _Raw(body.encode()))


class _Raw:
    """As much of a raw HTTP answer as botocore reads."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, *_: Any, **__: Any) -> list[bytes]:
        return [self._body]
