"""Usage from CloudWatch into metric summaries, against the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from scans.aws import usage
from scans.aws.clients import AwsSession, open_session
from scans.aws.progress import Progress
from scans.aws.simulator import SIMULATED_KEYS, Simulator
from scans.aws.usage import UsageStage
from scans.models import Account, Instance, MetricSummary, ScanJob
from tests.aws_simulator import estate
from tests.aws_simulator.fault_proxy import Fault, FaultProxy
from tests.factories import make_account, make_instance, make_resource

pytestmark = [pytest.mark.django_db, pytest.mark.services]

REGION = "eu-west-1"


@pytest.fixture
def session(aws_simulator: Simulator) -> Iterator[AwsSession]:
    with open_session(SIMULATED_KEYS) as session:
        yield session


def read(
    account: Account, session: AwsSession, *kinds: str, regions: tuple[str, ...] = (REGION,)
) -> ScanJob:
    job = ScanJob.objects.create(
        account=account,
        kind="aws",
        state="FETCHING",
        lease_owner="test",
        lease_until=timezone.now() + timedelta(minutes=5),
    )
    known = {(kind, region) for kind in kinds for region in regions}
    progress = Progress(job)
    progress.begin(len(regions))
    UsageStage(job, account, session, known, progress).run(regions)
    assert progress.done == len(regions)
    return job


def test_an_instances_hours_become_its_summaries(
    aws_simulator: Simulator, session: AwsSession
) -> None:
    url = aws_simulator.endpoint_url
    instance = make_instance(region=REGION, state="running")
    where = {"InstanceId": instance.resource_id}
    estate.put_hours(url, REGION, "AWS/EC2", "CPUUtilization", where, [*range(1, 41)])
    estate.put_hours(url, REGION, "AWS/EC2", "NetworkIn", where, [1000.0] * 24)
    estate.put_hours(url, REGION, "AWS/EC2", "NetworkOut", where, [500.0] * 12)
    agents = {"ImageId": "ami-1", **where}
    estate.put_hours(url, REGION, "CWAgent", "mem_used_percent", agents, [40.0, 60.0])
    job = read(instance.account, session, "ec2_instance")
    found = {row.metric: row for row in MetricSummary.objects.all()}
    assert set(found) == {"cpu_percent", "network_bytes", "disk_ops", "memory_percent"}
    cpu, network = found["cpu_percent"], found["network_bytes"]
    assert (cpu.datapoints, cpu.expected, cpu.window_days) == (40, 336, 14)
    assert (cpu.average, cpu.p50, cpu.p99, cpu.maximum) == (20.5, 20, 40, 40)
    assert (network.datapoints, network.total) == (24, 24 * 1000 + 12 * 500)
    assert network.daily == [None] * 13 + [30_000]
    assert (found["memory_percent"].average, found["memory_percent"].datapoints) == (50, 2)
    assert (found["disk_ops"].datapoints, found["disk_ops"].total) == (0, None)
    assert cpu.tenant == instance.tenant
    assert {(u.call, u.outcome, u.rows) for u in job.units.all()} == {
        ("GetMetricData", "ok", 4),
        ("ListMetrics", "ok", 1),
    }


def test_a_second_reading_replaces_the_first(aws_simulator: Simulator, session: AwsSession) -> None:
    instance = make_instance(region=REGION, state="running")
    where = {"InstanceId": instance.resource_id}
    read(instance.account, session, "ec2_instance")
    before = MetricSummary.objects.get(metric="cpu_percent")
    assert before.average is None
    estate.put_hours(
        aws_simulator.endpoint_url, REGION, "AWS/EC2", "CPUUtilization", where, [5.0] * 3
    )
    ScanJob.objects.all().delete()
    read(instance.account, session, "ec2_instance")
    after = MetricSummary.objects.get(metric="cpu_percent")
    assert (after.pk, after.average, after.datapoints) == (before.pk, 5, 3)


def test_a_buckets_size_is_read_by_days_and_added_up(
    aws_simulator: Simulator, session: AwsSession
) -> None:
    bucket = make_resource(kind="s3_bucket", region=REGION, resource_id="data", state="available")
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    client = estate.outside(aws_simulator.endpoint_url, "cloudwatch", REGION)
    for storage, size in (("StandardStorage", 3e9), ("GlacierStorage", 2e9)):
        client.put_metric_data(
            Namespace="AWS/S3",
            MetricData=[
                {
                    "MetricName": "BucketSizeBytes",
                    "Dimensions": [
                        {"Name": "BucketName", "Value": "data"},
                        {"Name": "StorageType", "Value": storage},
                    ],
                    "Timestamp": midnight - timedelta(days=days),
                    "Value": size,
                }
                for days in (1, 2, 3)
            ],
        )
    read(bucket.account, session, "s3_bucket")
    summary = MetricSummary.objects.get()
    assert (summary.metric, summary.average) == ("bucket_size_bytes", 5e9)
    assert (summary.datapoints, summary.expected) == (3, 14)
    bucket.refresh_from_db()
    # 5 GB are 4.657 GiB, at Ireland's 0.023 USD.
    assert float(bucket.monthly_cost_usd or 0) == pytest.approx(4.657 * 0.023, rel=0.001)


def test_only_what_this_scan_has_seen_is_asked_about(
    aws_simulator: Simulator, session: AwsSession
) -> None:
    account = make_account()
    make_instance(account=account, region="us-east-1", state="running")
    make_instance(account=account, region=REGION, state="stopped")
    make_instance(account=account, region=REGION, state="running", gone_at=timezone.now())
    read(account, session, "ec2_instance")
    assert not MetricSummary.objects.exists()


def test_more_things_than_one_call_takes_are_all_read(
    aws_simulator: Simulator, session: AwsSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "SERIES_A_CALL", 10)
    monkeypatch.setattr(usage, "BATCH", 2)
    monkeypatch.setattr(usage, "WAVE", 3)
    account = make_account()
    ids = {make_instance(account=account, region=REGION, state="running").pk for _ in range(9)}
    job = read(account, session, "ec2_instance")
    read_of = MetricSummary.objects.filter(metric="cpu_percent").values_list("resource_id")
    assert set(read_of) == set(Instance.objects.filter(pk__in=ids).values_list("resource_id"))
    assert job.units.get(call="GetMetricData").rows == 27
    assert job.units.get(call="GetMetricData").calls == 9


def test_a_denied_region_is_asked_no_more_and_keeps_what_was_known(
    fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "SERIES_A_CALL", 10)
    monkeypatch.setattr(usage, "WAVE", 1)
    account = make_account()
    for _ in range(5):
        make_instance(account=account, region=REGION, state="running")
    fault_proxy.add(Fault(code="AccessDeniedException", action="GetMetricData"))
    with open_session(SIMULATED_KEYS) as session:
        job = read(account, session, "ec2_instance")
    unit = job.units.get(call="GetMetricData")
    assert (unit.outcome, unit.missing_action) == ("denied", "cloudwatch:GetMetricData")
    assert unit.calls == 1
    assert not MetricSummary.objects.exists()
