"""Databases, NAT gateways, load balancers, buckets and commitments: each rule by its table."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from scans.aws.collectors.rows import DATABASE
from scans.aws.rules.commitments import CommitmentItem
from scans.aws.rules.finding import Figures
from scans.models import Confidence
from tests.scans.aws.rule_items import (
    LONG_AGO,
    NOW,
    FakeItem,
    ago,
    amount,
    found,
    judge,
    judge_all,
    level,
    make_figures,
    unknown,
    usd_of,
)

GIB = 1024**3


def make_database(state: str = "available", **spec: Any) -> FakeItem:
    described = {
        "instance_class": "db.m5.xlarge",
        "engine": "mysql",
        "multi_az": False,
        "storage_type": "gp2",
        "storage_gb": 100,
        "iops": None,
        "is_replica": False,
        "cluster_id": "",
        **spec,
    }
    return FakeItem(resource_id="shop", name="shop", state=state, spec=described)


@pytest.mark.parametrize(
    ("connections", "is_found"), [(0, True), (1, False), (0.01, False), (250, False)]
)
def test_idle_database_by_its_connections(connections: float, is_found: bool) -> None:
    verdict = judge("rds.idle", make_database(), level("connections", connections))
    assert bool(verdict) == is_found
    if is_found:
        # 0.342 x 730, and 100 GB of storage at 0.115 when it is deleted
        assert usd_of(verdict) == ("249.66", "261.16")


def test_one_connection_in_two_weeks_is_a_use() -> None:
    assert judge("rds.idle", make_database(), level("connections", 0, maximum=1)) is None


@pytest.mark.parametrize(
    ("spec", "low", "high"),
    [
        ({"multi_az": True}, "499.32", "522.32"),
        ({"storage_type": "io1", "iops": 1000}, "249.66", "362.16"),  # 12.5 + 1,000 x 0.10
        ({"engine": "postgres"}, "259.88", "271.38"),  # 0.356
        ({"storage_type": "of tomorrow"}, "249.66", "249.66"),
    ],
)
def test_idle_database_saves_instance_and_storage(spec: Any, low: str, high: str) -> None:
    verdict = judge("rds.idle", make_database(**spec), level("connections", 0))
    assert usd_of(verdict) == (low, high)


@pytest.mark.parametrize(
    ("database", "outcome"),
    [
        (make_database(is_replica=True), None),
        (make_database(state="stopped"), None),
        (make_database(cluster_id="aurora-1"), "cluster"),
        (make_database(engine="oracle-ee"), "No list price"),
        (make_database(instance_class="db.serverless"), "No list price"),
    ],
)
def test_databases_that_are_not_called_idle(database: FakeItem, outcome: str | None) -> None:
    verdict = judge("rds.idle", database, level("connections", 0))
    if outcome is None:
        assert verdict is None
    else:
        assert outcome in unknown(verdict).reason


@pytest.mark.parametrize(
    "figures",
    [(), (level("connections", 0, days=13),), (level("connections", 0, datapoints=268),)],
)
def test_young_databases_are_unknown(figures: tuple[Figures, ...]) -> None:
    assert unknown(judge("rds.idle", make_database(), *figures))


def oversize_figures(
    cpu: float = 30, free_gib: float = 8, iops: float = 150
) -> tuple[Figures, ...]:
    """At each limit of a db.m5.xlarge with 100 GB of gp2: 16 GiB and 300 IOPS."""
    return (
        level("cpu_percent", cpu),
        level("freeable_memory_bytes", free_gib * GIB),
        level("rds_iops", iops),
        level("connections", 20),
    )


@pytest.mark.parametrize(
    ("case", "figures", "is_found"),
    [
        ("at all limits", oversize_figures(), True),
        ("more CPU", oversize_figures(cpu=30.01), False),
        ("less free memory", oversize_figures(free_gib=7.99), False),
        ("more operations", oversize_figures(iops=150.1), False),
    ],
)
def test_oversized_database_by_its_usage(
    case: str, figures: tuple[Figures, ...], is_found: bool
) -> None:
    verdict = judge("rds.oversize", make_database(), *figures)
    assert bool(verdict) == is_found
    if is_found:
        assert found(verdict).evidence["to_class"] == "db.m5.large"
        assert usd_of(verdict) == ("124.83", "124.83")  # (0.342 - 0.171) x 730


def test_oversized_database_with_a_standby_saves_twice() -> None:
    verdict = judge("rds.oversize", make_database(multi_az=True), *oversize_figures())
    assert usd_of(verdict) == ("249.66", "249.66")


def test_free_memory_is_that_of_the_worst_day() -> None:
    memory = level("freeable_memory_bytes", 12 * GIB, daily=[12 * GIB] * 13 + [7 * GIB])
    figures = (*oversize_figures()[:1], memory, *oversize_figures()[2:])
    assert judge("rds.oversize", make_database(), *figures) is None


@pytest.mark.parametrize(
    ("spec", "iops", "is_found"),
    [
        ({"storage_type": "gp3"}, 1500, True),
        ({"storage_type": "gp3"}, 1501, False),
        ({"storage_type": "gp3", "iops": 6000}, 3000, True),
        ({"storage_type": "io1", "iops": 1000}, 500, True),
        ({"storage_type": "io1", "iops": 1000}, 501, False),
        ({"storage_gb": 20}, 50, True),  # never below 100
        ({"storage_type": "aurora"}, 90_000, True),  # without such a limit
    ],
)
def test_storage_operations_are_measured_by_what_the_storage_gives(
    spec: dict[str, Any], iops: float, is_found: bool
) -> None:
    verdict = judge("rds.oversize", make_database(**spec), *oversize_figures(iops=iops))
    assert bool(verdict) == is_found


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_oversized_database_is_unknown_without_one_of_its_figures(missing: int) -> None:
    figures = [figure for at, figure in enumerate(oversize_figures()) if at != missing]
    assert unknown(judge("rds.oversize", make_database(), *figures))


def test_smallest_class_of_a_family_stays() -> None:
    figures = oversize_figures(free_gib=7)
    assert judge("rds.oversize", make_database(instance_class="db.m5.large"), *figures) is None
    # AWS has db.m7g from large up, though EC2 has a medium.
    assert judge("rds.oversize", make_database(instance_class="db.m7g.large"), *figures) is None


def test_database_of_an_unknown_class_is_unknown() -> None:
    verdict = judge(
        "rds.oversize", make_database(instance_class="db.x2g.large"), *oversize_figures()
    )
    assert unknown(verdict).reason == "Its instance class is not known."


def test_idle_database_is_not_oversized_as_well() -> None:
    figures = (*oversize_figures()[:3], level("connections", 0))
    assert judge_all(make_database(), *figures, kind=DATABASE) == ["rds.idle"]


def make_database_snapshot(**overrides: Any) -> FakeItem:
    spec = {
        "database_id": "gone",
        "snapshot_type": "manual",
        "size_gb": 100,
        "created_at": LONG_AGO.isoformat(),
        **overrides.pop("spec", {}),
    }
    return FakeItem(resource_id="before-upgrade", spec=spec, **overrides)


@pytest.mark.parametrize(
    ("snapshot", "is_found"),
    [
        (make_database_snapshot(), True),
        (make_database_snapshot(spec={"created_at": ago(days=30).isoformat()}), True),
        (make_database_snapshot(spec={"created_at": ago(days=29.999).isoformat()}), False),
        (make_database_snapshot(spec={"snapshot_type": "automated"}), False),
        (make_database_snapshot(spec={"snapshot_type": "awsbackup"}), False),
        (make_database_snapshot(state="creating"), False),
        (make_database_snapshot(tags={"aws:backup:source-resource": "x"}), False),
    ],
)
def test_database_snapshot_by_age_and_kind(snapshot: FakeItem, is_found: bool) -> None:
    verdict = judge("rds.snapshot", snapshot, related={"databases": []})
    assert bool(verdict) == is_found
    if is_found:
        assert usd_of(verdict) == ("0.00", "9.50")
        assert found(verdict).is_upper_bound


def test_database_snapshot_stays_while_its_database_is_there_or_unseen() -> None:
    snapshot = make_database_snapshot()
    assert judge("rds.snapshot", snapshot, related={"databases": [make_database()]}) is None
    assert unknown(judge("rds.snapshot", snapshot))


@pytest.mark.parametrize(
    ("bytes_per_day", "is_found"), [(0, True), (1e6, True), (1.01e6, False), (1e12, False)]
)
def test_idle_nat_gateway_by_its_bytes(bytes_per_day: float, is_found: bool) -> None:
    gateway = FakeItem(resource_id="nat-1")
    verdict = judge("nat.idle", gateway, amount("bytes_processed", bytes_per_day))
    assert bool(verdict) == is_found
    if is_found:
        assert usd_of(verdict) == ("32.85", "32.85")


def test_bytes_of_seen_hours_are_not_spread_over_unseen_ones() -> None:
    seen = amount("bytes_processed", 1.05e6, total=1.05e6 * 14 * 0.8, datapoints=269)
    assert judge("nat.idle", FakeItem(resource_id="nat-1"), seen) is None


def test_nat_gateway_of_which_too_little_is_known() -> None:
    gateway = FakeItem(resource_id="nat-1")
    assert unknown(judge("nat.idle", gateway))
    assert unknown(judge("nat.idle", gateway, amount("bytes_processed", 0, days=13)))
    assert judge("nat.idle", FakeItem(state="pending"), amount("bytes_processed", 0)) is None


def make_balancer(kind: str = "application", **overrides: Any) -> FakeItem:
    spec = {
        "type": kind,
        "created_at": LONG_AGO.isoformat(),
        "healthy_targets": 2,
        **overrides.pop("spec", {}),
    }
    arn = "arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/app/web/1"
    return FakeItem(resource_id=arn, name="web", state="active", spec=spec, **overrides)


@pytest.mark.parametrize(
    ("per_day", "is_found"), [(0, True), (99.9, True), (100, False), (1e6, False)]
)
def test_idle_load_balancer_by_its_requests(per_day: float, is_found: bool) -> None:
    verdict = judge("elb.idle", make_balancer(), amount("request_count", per_day))
    assert bool(verdict) == is_found
    if is_found:
        assert usd_of(verdict) == ("16.43", "16.43")  # 0.0225 x 730 = 16.425


def test_hours_without_requests_have_no_datapoints_and_count_as_none() -> None:
    few = make_figures("request_count", datapoints=5, total=50.0)
    assert found(judge("elb.idle", make_balancer(), few)).confidence == Confidence.HIGH
    none = make_figures("request_count", datapoints=0)
    assert found(judge("elb.idle", make_balancer(), none)).confidence == Confidence.MEDIUM


def test_young_or_unasked_load_balancers_are_unknown() -> None:
    young = make_balancer(spec={"created_at": ago(days=13.9).isoformat()}, first_seen_at=NOW)
    assert unknown(judge("elb.idle", young, make_figures("request_count", datapoints=0)))
    assert unknown(judge("elb.idle", make_balancer()))
    assert unknown(judge("elb.idle", make_balancer(), unseen={"metrics": "Denied."}))


@pytest.mark.parametrize(
    ("kind", "price"), [("network", "16.43"), ("gateway", "9.13"), ("classic", "18.25")]
)
def test_load_balancers_by_their_prices(kind: str, price: str) -> None:
    metric = "request_count" if kind == "classic" else "new_flows"
    verdict = judge("elb.idle", make_balancer(kind), amount(metric, 3))
    assert usd_of(verdict) == (price, price)


@pytest.mark.parametrize(
    ("case", "healthy_now", "daily", "is_found"),
    [
        ("seven days without", 0, [2.0] * 7 + [0.0] * 7, True),
        ("six", 0, [2.0] * 8 + [0.0] * 6, False),
        ("one is healthy now", 1, [0.0] * 14, False),
        ("unknown now", None, [0.0] * 14, False),
    ],
)
def test_load_balancer_without_healthy_targets(
    case: str, healthy_now: int | None, daily: list[float], is_found: bool
) -> None:
    balancer = make_balancer(spec={"healthy_targets": healthy_now})
    hosts = level("healthy_hosts", 2, daily=daily)
    verdict = judge("elb.idle", balancer, hosts, amount("request_count", 5000))
    assert bool(verdict) == is_found
    if is_found:
        assert "no healthy targets" in found(verdict).title


@pytest.mark.parametrize(("days", "is_found"), [(7, True), (6.99, False)])
def test_load_balancer_to_which_no_target_was_ever_registered(days: float, is_found: bool) -> None:
    """CloudWatch counts healthy targets only where there are any."""
    balancer = make_balancer(
        spec={"healthy_targets": 0, "created_at": ago(days=days).isoformat()}, first_seen_at=NOW
    )
    verdict = judge("elb.idle", balancer, make_figures("request_count", datapoints=0))
    if is_found:
        assert found(verdict).confidence == Confidence.MEDIUM
    else:
        assert unknown(verdict)


@pytest.mark.parametrize(
    ("groups", "per_day", "is_found"),
    [([], 5000, False), ([], 99, True), (["targetgroup/web/1"], 5000, True)],
)
def test_load_balancer_that_redirects_needs_no_targets(
    groups: list[str], per_day: float, is_found: bool
) -> None:
    balancer = make_balancer(spec={"healthy_targets": 0, "target_groups": groups})
    assert bool(judge("elb.idle", balancer, amount("request_count", per_day))) == is_found


def make_bucket(rules: int | None = 0) -> FakeItem:
    return FakeItem(resource_id="logs", name="logs", spec={"lifecycle_rules": rules})


@pytest.mark.parametrize(
    ("gb", "rules", "is_found"), [(100, 0, True), (99.99, 0, False), (100, 1, False)]
)
def test_bucket_without_lifecycle_by_size(gb: float, rules: int, is_found: bool) -> None:
    size = level("bucket_size_bytes", gb * GIB)
    verdict = judge("s3.no_lifecycle", make_bucket(rules), size)
    assert bool(verdict) == is_found
    if is_found:
        assert usd_of(verdict) == ("0.00", "1.04")  # 100 x 0.023 x 0.45 = 1.035
        assert found(verdict).is_upper_bound


def test_bucket_counts_by_its_latest_size() -> None:
    shrunk = level("bucket_size_bytes", 500 * GIB, daily=[500.0 * GIB] * 13 + [1.0 * GIB])
    assert judge("s3.no_lifecycle", make_bucket(), shrunk) is None


def test_bucket_of_unknown_rules_or_size_is_unknown() -> None:
    assert unknown(judge("s3.no_lifecycle", make_bucket(None))).needs
    assert unknown(judge("s3.no_lifecycle", make_bucket()))


def make_gap(**spec: Any) -> CommitmentItem:
    known = {
        "coverage": Decimal("0.5"),
        "uncovered_monthly_usd": Decimal(500),
        "steady_hourly_usd": Decimal("0.4"),
        **spec,
    }
    return CommitmentItem("savings_plans", "Savings Plans", known, NOW)


@pytest.mark.parametrize(
    ("spec", "is_found"),
    [
        ({}, True),
        ({"coverage": Decimal("0.6999")}, True),
        ({"coverage": Decimal("0.7")}, False),
        ({"uncovered_monthly_usd": Decimal(50)}, True),
        ({"uncovered_monthly_usd": Decimal("49.99")}, False),
        ({"steady_hourly_usd": Decimal(0)}, False),
    ],
)
def test_compute_without_a_savings_plan(spec: dict[str, Decimal], is_found: bool) -> None:
    verdict = judge("commit.sp_gap", make_gap(**spec))
    assert bool(verdict) == is_found
    if is_found:
        assert usd_of(verdict) == ("78.84", "78.84")  # 0.4 x 0.27 x 730


@pytest.mark.parametrize("name", ["coverage", "uncovered_monthly_usd", "steady_hourly_usd"])
def test_compute_of_unknown_coverage_is_unknown(name: str) -> None:
    assert unknown(judge("commit.sp_gap", make_gap(**{name: None})))


def make_commitment(days_left: float, **spec: Any) -> CommitmentItem:
    ends_at = (NOW + timedelta(days=days_left)).isoformat()
    known = {
        "ends_at": ends_at,
        "monthly_usd": Decimal(730),
        "utilization": Decimal(1),
        **spec,
    }
    return CommitmentItem("sp-1", "Compute 1yr", known, NOW)


@pytest.mark.parametrize(
    ("days_left", "is_found"), [(30, True), (30.001, False), (1, True), (0, False), (-1, False)]
)
def test_commitment_that_ends_soon(days_left: float, is_found: bool) -> None:
    verdict = judge("commit.expiring", make_commitment(days_left))
    assert bool(verdict) == is_found
    if is_found:
        assert usd_of(verdict) == ("0.00", "270.00")  # 730 / 0.73 - 730
        assert found(verdict).is_upper_bound


def test_commitment_that_was_half_used_saves_nothing_by_renewal() -> None:
    verdict = judge("commit.expiring", make_commitment(10, utilization=Decimal("0.5")))
    assert usd_of(verdict) == ("0.00", "0.00")
    assert found(verdict).evidence["utilization"] == "50.0%"


def test_commitment_of_unknown_end_or_price_is_unknown() -> None:
    assert unknown(judge("commit.expiring", make_commitment(10, ends_at=None)))
    assert unknown(judge("commit.expiring", make_commitment(10, monthly_usd=None)))
