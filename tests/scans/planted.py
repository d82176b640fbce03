"""An estate planted in the database, with the truth about each thing of it worked out by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from django.utils import timezone

from scans.aws.collectors import rows
from scans.models import Account, Commitment, CommitmentCoverage, Instance, MetricSummary, Resource
from tests.factories import make_account, make_instance, make_resource

REGION = "us-east-1"
DAYS = 14
HOURS = DAYS * 24
MB = 1e6
GIB = 1024**3
KINDS = (
    rows.INSTANCE,
    rows.VOLUME,
    rows.ADDRESS,
    rows.SNAPSHOT,
    rows.IMAGE,
    rows.DATABASE,
    rows.DATABASE_SNAPSHOT,
    rows.LOAD_BALANCER,
    rows.NAT_GATEWAY,
    rows.BUCKET,
)
HOSTILE = (
    '=HYPERLINK("http://evil.example","x")',
    "<script>alert(1)</script>",
    "Robert'); DROP TABLE resources;--",
    "\u202ereversed\u200b\x1b[31m\r\nsecond line",
    "x" * 255,
    "{{ 7 * 7 }} %s %n ${HOME}",
)


@dataclass
class Estate:
    """What was planted. `truths`: (rule, resource) → (low, high) in USD a month; whatever is not
    in it has nothing to save."""

    account: Account = field(default_factory=make_account)
    region: str = REGION
    truths: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)  # by rule
    _numbers: Any = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.now = timezone.now()

    @property
    def known(self) -> set[tuple[str, str]]:
        return {(kind, self.region) for kind in KINDS}

    def ago(self, **time: float) -> datetime:
        return self.now - timedelta(**time)

    def truth(self, rule: str, item: Any, low: float, high: float | None = None) -> None:
        self.truths[rule, item.resource_id] = (low, low if high is None else high)

    def cannot_tell(self, *rules: str) -> None:
        for rule in rules:
            self.unknown[rule] = self.unknown.get(rule, 0) + 1

    def instance(self, instance_type: str = "m5.large", **more: Any) -> Instance:
        return make_instance(
            account=self.account,
            region=self.region,
            instance_type=instance_type,
            platform="Linux/UNIX",
            state_since=self.ago(days=100),
            first_seen_at=self.ago(days=100),
            **more,
        )

    def resource(self, kind: str, prefix: str, **more: Any) -> Resource:
        return make_resource(
            **{
                "account": self.account,
                "region": self.region,
                "kind": kind,
                "resource_id": f"{prefix}-{next(self._numbers)}",
                "state_since": self.ago(days=100),
                "first_seen_at": self.ago(days=100),
                **more,
            }
        )

    def volume(self, volume_type: str, size_gb: int, *, state: str = "in-use", **more: Any) -> Any:
        spec = {
            "volume_type": volume_type,
            "size_gb": size_gb,
            "iops": None,
            **more.pop("spec", {}),
        }
        spec.setdefault("created_at", self.ago(days=300).isoformat())
        return self.resource(rows.VOLUME, "vol", state=state, spec=spec, **more)

    def used_volume(self, volume_type: str, size_gb: int, **more: Any) -> Any:
        """One that is read and written."""
        volume = self.volume(volume_type, size_gb, **more)
        self.amount(volume, rows.VOLUME, "volume_ops", 50_000)
        return volume

    def level(self, item: Any, kind: str, metric: str, value: float, **more: Any) -> None:
        """A metric that never moved."""
        figures = dict.fromkeys(("average", "p50", "p95", "p99", "maximum"), value)
        fields = {**figures, "daily": [value] * DAYS, **more}
        self.metric(item, kind, metric, **fields)

    def amount(self, item: Any, kind: str, metric: str, per_day: float, **more: Any) -> None:
        """A counted metric, the same each hour."""
        figures = dict.fromkeys(("average", "p50", "p95", "p99", "maximum"), per_day / 24)
        fields = {**figures, "total": per_day * DAYS, "daily": [per_day] * DAYS, **more}
        self.metric(item, kind, metric, **fields)

    def metric(self, item: Any, kind: str, metric: str, **fields: Any) -> None:
        MetricSummary.objects.create(
            **{
                "account": self.account,
                "region": item.region,
                "kind": kind,
                "resource_id": item.resource_id,
                "metric": metric,
                "window_days": DAYS,
                "datapoints": HOURS,
                "expected": HOURS,
                "computed_at": self.now,
                **fields,
            }
        )

    def usage(self, instance: Instance, *, cpu: float, mb_per_day: float, ops: float = 0) -> None:
        """`ops`: of its disks in a second."""
        self.level(instance, rows.INSTANCE, "cpu_percent", cpu)
        self.amount(instance, rows.INSTANCE, "network_bytes", mb_per_day * MB)
        self.amount(instance, rows.INSTANCE, "disk_ops", ops * 86_400)

    def busy(self, instance: Instance) -> Instance:
        self.usage(instance, cpu=60, mb_per_day=40_000, ops=90)
        return instance


def plant() -> Estate:
    """One of everything, and around it what must not be reported."""
    estate = Estate()
    for plant_part in (
        _plant_instances,
        _plant_stopped,
        _plant_volumes,
        _plant_snapshots,
        _plant_addresses,
        _plant_databases,
        _plant_network,
        _plant_buckets,
        _plant_commitments,
        _plant_hostile,
    ):
        plant_part(estate)
    return estate


def _plant_instances(estate: Estate) -> None:
    estate.busy(estate.instance())
    idle = estate.instance("m5.xlarge")
    estate.usage(idle, cpu=1.2, mb_per_day=2, ops=0.1)
    estate.truth("ec2.idle", idle, 0.192 * 730)
    # Idle and of an old generation: one finding, the larger.
    old_and_idle = estate.instance("m4.large")
    estate.usage(old_and_idle, cpu=0.5, mb_per_day=1)
    estate.truth("ec2.idle", old_and_idle, 0.10 * 730)
    # Three days of figures tell nothing.
    young = estate.instance()
    few = {"datapoints": 72, "daily": [None] * 11 + [0.1] * 3}
    estate.level(young, rows.INSTANCE, "cpu_percent", 0.1, **few)
    estate.amount(young, rows.INSTANCE, "network_bytes", 0, **few)
    estate.cannot_tell("ec2.idle", "ec2.rightsize")
    # Nor do fourteen with holes.
    holes = estate.instance()
    estate.level(holes, rows.INSTANCE, "cpu_percent", 0.1, datapoints=200)
    estate.amount(holes, rows.INSTANCE, "network_bytes", 0, datapoints=200)
    estate.cannot_tell("ec2.idle", "ec2.rightsize")
    # Nor none at all.
    estate.instance("t3.large")
    estate.cannot_tell("ec2.idle", "ec2.rightsize")
    # 16 vCPUs at 12 %: 70 % of them needs 2.7, so 4 vCPUs.
    oversized = estate.instance("m5.4xlarge")
    estate.usage(oversized, cpu=12, mb_per_day=900, ops=20)
    estate.truth("ec2.rightsize", oversized, (0.768 - 0.192) * 730)
    # Half the memory would not do, though half the vCPUs would.
    needs_memory = estate.instance("r5.xlarge")
    estate.usage(needs_memory, cpu=20, mb_per_day=900, ops=20)
    estate.level(needs_memory, rows.INSTANCE, "memory_percent", 55)
    # The price of a spot instance is the market's.
    spot = estate.instance(lifecycle="spot")
    estate.usage(spot, cpu=0, mb_per_day=0)
    estate.cannot_tell("ec2.idle", "ec2.rightsize")
    for instance_type, old, new in (
        ("m4.2xlarge", 0.40, 0.384),
        ("c4.large", 0.10, 0.085),
        ("r4.large", 0.133, 0.126),
        ("m3.xlarge", 0.266, 0.192),
    ):
        previous = estate.busy(estate.instance(instance_type))
        estate.truth("prev_gen", previous, (old - new) * 730)


def _plant_stopped(estate: Estate) -> None:
    """Its volumes and its address are paid on; the volumes' own rules keep quiet about them."""
    long_ago = f"User initiated ({estate.ago(days=40):%Y-%m-%d %H:%M:%S} GMT)"
    volumes = [estate.volume("gp2", 200), estate.volume("gp3", 100)]
    stopped = _stopped(estate, volumes, long_ago)
    estate.resource(
        rows.ADDRESS,
        "eipalloc",
        state="associated",
        spec={"public_ip": "203.0.113.1", "associated_with": stopped.resource_id},
    )
    # 20 + 8 + 3.65; the lower end keeps snapshots of 300 GB.
    estate.truth("ec2.stopped_ebs", stopped, 28 - 15 + 3.65, 28 + 3.65)
    # Stopped last week: not yet, so its gp2 volume is worth a change.
    last_week = f"User initiated ({estate.ago(days=7):%Y-%m-%d %H:%M:%S} GMT)"
    volume = estate.volume("gp2", 50)
    _stopped(estate, [volume], last_week)
    estate.truth("ebs.gp2_gp3", volume, 50 * 0.02)
    _stopped(estate, [], long_ago)


def _stopped(estate: Estate, volumes: Iterable[Resource], reason: str) -> Instance:
    volumes = list(volumes)
    instance = estate.instance(
        state="stopped",
        spec={"state_reason": reason, "volume_ids": [volume.resource_id for volume in volumes]},
    )
    for volume in volumes:
        volume.spec["attached_to"] = [instance.resource_id]
        volume.save()
    return instance


def _plant_volumes(estate: Estate) -> None:
    for size, low, high in (
        (8, 0.16, 0.16),
        (100, 2.00, 2.00),
        (170, 3.40, 3.40),
        (500, 5.00, 10.00),  # 250 MB/s: 125 more at 0.04
        (1000, 15.00, 20.00),
        (2000, 20.00, 25.00),  # 3,000 IOPS more at 0.005
        (5334, 36.68, 41.68),  # the cap of 16,000 IOPS
        (16_384, 257.68, 262.68),
    ):
        estate.truth("ebs.gp2_gp3", estate.used_volume("gp2", size), low, high)
    for kind in ("gp3", "st1", "sc1", "standard"):
        estate.used_volume(kind, 500)
    estate.used_volume("io1", 100, spec={"iops": 3000})
    unattached = estate.volume("gp2", 500, state="available")
    estate.truth("ebs.unattached", unattached, 50 - 25, 50)
    with_iops = estate.volume("io1", 100, state="available", spec={"iops": 2000})
    estate.truth("ebs.unattached", with_iops, 12.5 + 130 - 5, 12.5 + 130)
    # Attached until yesterday.
    estate.volume("gp3", 40, state="available", state_since=estate.ago(days=1))
    silent = estate.volume("gp3", 300)
    estate.amount(silent, rows.VOLUME, "volume_ops", 0)
    estate.truth("ebs.low_io", silent, 24 - 15, 24)
    estate.volume("gp3", 60)
    estate.cannot_tell("ebs.low_io")
    # AWS's next type has no price with us.
    estate.volume("gp9", 10, state="available")
    estate.cannot_tell("ebs.unattached")


def _plant_snapshots(estate: Estate) -> None:
    def snapshot(days: float, **more: Any) -> Resource:
        spec = {
            "volume_id": "vol-gone",
            "size_gb": 100,
            "started_at": estate.ago(days=days).isoformat(),
            "storage_tier": "standard",
            **more.pop("spec", {}),
        }
        return estate.resource(rows.SNAPSHOT, "snap", state="completed", spec=spec, **more)

    estate.truth("ebs.snapshot_old", snapshot(200), 0, 100 * 0.05)
    snapshot(30)
    imaged = snapshot(400)
    estate.resource(
        rows.IMAGE, "ami", state="available", spec={"snapshot_ids": [imaged.resource_id]}
    )
    volume = estate.used_volume("gp3", 100)
    snapshot(400, spec={"volume_id": volume.resource_id})
    snapshot(400, tags={"aws:backup:source-resource": "arn"})
    snapshot(400, spec={"storage_tier": "archive"})


def _plant_addresses(estate: Estate) -> None:
    def address(state: str, **more: Any) -> Resource:
        spec = {"public_ip": "203.0.113.9", "associated_with": "", **more.pop("spec", {})}
        return estate.resource(rows.ADDRESS, "eipalloc", state=state, spec=spec, **more)

    estate.truth("eip.unassociated", address("unassociated"), 3.65)
    address("associated", spec={"associated_with": "eni-1"})
    address("unassociated", state_since=estate.now)
    address("unassociated", spec={"is_own_range": True})


def _plant_databases(estate: Estate) -> None:
    def database(instance_class: str, connections: float | None, **spec: Any) -> Resource:
        described = {
            "instance_class": instance_class,
            "engine": "mysql",
            "multi_az": False,
            "storage_type": "gp2",
            "storage_gb": 100,
            **spec,
        }
        row = estate.resource(rows.DATABASE, "db", state="available", spec=described)
        if connections is not None:
            estate.level(row, rows.DATABASE, "connections", connections)
            estate.level(row, rows.DATABASE, "cpu_percent", 55)
            estate.level(row, rows.DATABASE, "freeable_memory_bytes", 2 * GIB)
            estate.level(row, rows.DATABASE, "rds_iops", 100)
        return row

    used = database("db.m5.large", 12)
    idle = database("db.m5.large", 0)
    estate.truth("rds.idle", idle, 0.171 * 730, 0.171 * 730 + 11.5)
    twice = database("db.r5.large", 0, multi_az=True, engine="postgres")
    estate.truth("rds.idle", twice, 0.25 * 2 * 730, 0.25 * 2 * 730 + 23)
    database("db.m5.large", 0, is_replica=True, replica_of=used.resource_id)
    database("db.m5.large", None)
    estate.cannot_tell("rds.idle", "rds.oversize")
    large = database("db.m5.2xlarge", 40)
    MetricSummary.objects.filter(resource_id=large.resource_id, metric="cpu_percent").update(p99=9)
    estate_memory = MetricSummary.objects.filter(
        resource_id=large.resource_id, metric="freeable_memory_bytes"
    )
    estate_memory.update(daily=[24 * GIB] * DAYS)
    estate.truth("rds.oversize", large, (0.684 - 0.342) * 730)

    def snapshot(name: str, days: float, kind: str = "manual") -> Resource:
        spec = {
            "database_id": name,
            "snapshot_type": kind,
            "size_gb": 200,
            "created_at": estate.ago(days=days).isoformat(),
        }
        return estate.resource(rows.DATABASE_SNAPSHOT, "rds", state="available", spec=spec)

    estate.truth("rds.snapshot", snapshot("gone", 60), 0, 200 * 0.095)
    snapshot("gone", 10)
    snapshot("gone", 60, "automated")
    snapshot(used.resource_id, 60)


def _plant_network(estate: Estate) -> None:
    for per_day, is_idle in ((0, True), (900_000_000, False)):
        nat = estate.resource(rows.NAT_GATEWAY, "nat", state="available", spec={})
        estate.amount(nat, rows.NAT_GATEWAY, "bytes_processed", per_day)
        if is_idle:
            estate.truth("nat.idle", nat, 0.045 * 730)
    estate.resource(rows.NAT_GATEWAY, "nat", state="available", spec={})
    estate.cannot_tell("nat.idle")

    def balancer(kind: str, healthy: int | None, per_day: float | None) -> Resource:
        spec = {
            "type": kind,
            "healthy_targets": healthy,
            "created_at": estate.ago(days=300).isoformat(),
        }
        row = estate.resource(rows.LOAD_BALANCER, "lb", state="active", spec=spec)
        metric = "new_flows" if kind == "network" else "request_count"
        if per_day is not None:
            estate.amount(row, rows.LOAD_BALANCER, metric, per_day)
        return row

    balancer("application", 2, 90_000)
    quiet = balancer("application", 2, 20)
    estate.truth("elb.idle", quiet, 0.0225 * 730)
    flows = balancer("network", 1, 5)
    estate.truth("elb.idle", flows, 0.0225 * 730)
    sick = balancer("classic", 0, 5000)
    estate.level(sick, rows.LOAD_BALANCER, "healthy_hosts", 0)
    estate.truth("elb.idle", sick, 0.025 * 730)
    balancer("application", 3, None)
    estate.cannot_tell("elb.idle")


def _plant_buckets(estate: Estate) -> None:
    def bucket(rules: int | None, gb: float | None) -> Resource:
        row = estate.resource(
            rows.BUCKET, "bucket", state="available", spec={"lifecycle_rules": rules}
        )
        if gb is not None:
            estate.level(row, rows.BUCKET, "bucket_size_bytes", gb * GIB)
        return row

    estate.truth("s3.no_lifecycle", bucket(0, 4000), 0, 4000 * 0.023 * 0.45)
    bucket(2, 4000)
    bucket(0, 5)
    bucket(None, 4000)
    bucket(0, None)
    estate.cannot_tell("s3.no_lifecycle", "s3.no_lifecycle")


def _plant_commitments(estate: Estate) -> None:
    """Half of compute is covered: of what it could save, half is paid for in any case."""
    today = estate.now.date()
    CommitmentCoverage.objects.create(
        account=estate.account,
        kind="savings_plans",
        period_start=today - timedelta(days=30),
        period_end=today,
        coverage="0.5",
        covered_usd=700,
        uncovered_usd=700,
        steady_uncovered_hourly_usd="0.6",
    )
    for days, name in ((20, "sp-soon"), (200, "sp-later")):
        Commitment.objects.create(
            account=estate.account,
            kind="savings_plans",
            commitment_id=name,
            ends_at=estate.now + timedelta(days=days),
            utilization=1,
            monthly_usd=730,
        )
    estate.truths["commit.sp_gap", "savings_plans"] = (0.6 * 0.27 * 730,) * 2
    estate.truths["commit.expiring", "sp-soon"] = (0, 730 / 0.73 - 730)
    for key, (low, high) in estate.truths.items():
        if key[0] in {"ec2.idle", "ec2.rightsize", "prev_gen"}:
            estate.truths[key] = (low / 2, high)


def _plant_hostile(estate: Estate) -> None:
    """Names and tags that mean harm, on things that are found."""
    for name in HOSTILE:
        tags = {"Name": name, name[:100]: name, "aws:autoscaling:groupName": name}
        volume = estate.volume("gp3", 10, state="available", name=name, tags=tags)
        estate.truth("ebs.unattached", volume, 0.80 - 0.50, 0.80)
