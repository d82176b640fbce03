"""Instances: idle, oversized, asleep by the clock, stopped, of an old generation."""

from __future__ import annotations

import gzip
import json
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from scans.aws.collectors.rows import INSTANCE
from scans.aws.prices import BUILT_IN_BOOK
from scans.aws.rules.finding import Figures
from scans.aws.rules.instance_types import (
    ALL_FAMILIES,
    Family,
    TypeUnknownError,
    smaller_than,
    type_of,
)
from scans.aws.rules.schedulable_instance import runs_of
from scans.models import Confidence, Effort
from tests.scans.aws.rule_items import (
    NOW,
    FakeInstance,
    FakeItem,
    ago,
    amount,
    found,
    judge,
    judge_all,
    level,
    make_figures,
    make_volume,
    unknown,
    usd_of,
)

MB = 1e6
OPS_A_DAY = 86_400  # one a second


def idle_figures(**overrides: Figures) -> tuple[Figures, ...]:
    """At each limit exactly."""
    figures = {
        "cpu": level("cpu_percent", 5),
        "network": amount("network_bytes", 5 * MB),
        "disk": amount("disk_ops", OPS_A_DAY),
        **overrides,
    }
    return tuple(figures.values())


@pytest.mark.parametrize(
    ("case", "figures", "is_found"),
    [
        ("at all limits", {}, True),
        ("asleep", {"cpu": level("cpu_percent", 0)}, True),
        ("more CPU", {"cpu": level("cpu_percent", 5.01)}, False),
        ("more traffic", {"network": amount("network_bytes", 5.01 * MB)}, False),
        ("more disk", {"disk": amount("disk_ops", OPS_A_DAY * 1.01)}, False),
        # The percentile counts, not the mean, and a rare peak above it does not.
        ("busy in bursts", {"cpu": level("cpu_percent", 1, p95=40)}, False),
        ("one peak", {"cpu": level("cpu_percent", 1, maximum=99)}, True),
    ],
)
def test_idle_instance_by_its_usage(case: str, figures: dict[str, Figures], is_found: bool) -> None:
    verdict = judge("ec2.idle", FakeInstance(), *idle_figures(**figures))
    assert bool(verdict) == is_found
    if is_found:
        assert usd_of(verdict) == ("70.08", "70.08")  # 0.096 x 730
        assert found(verdict).confidence == Confidence.HIGH
        assert found(verdict).evidence["datapoints"] == "336 of 336"


@pytest.mark.parametrize(
    ("case", "cpu", "is_known"),
    [
        ("fourteen days", level("cpu_percent", 1), True),
        ("thirteen days", level("cpu_percent", 1, days=13), False),
        ("four fifths", level("cpu_percent", 1, datapoints=269), True),
        ("less", level("cpu_percent", 1, datapoints=268), False),
        ("none", level("cpu_percent", 1, datapoints=0), False),
        (
            "a young instance in a longer window",
            level("cpu_percent", 1, days=28, datapoints=336, daily=[None] * 14 + [1.0] * 14),
            True,
        ),
        (
            "too young in a longer window",
            level("cpu_percent", 1, days=28, datapoints=312, daily=[None] * 15 + [1.0] * 13),
            False,
        ),
        (
            "half the hours of a longer window",
            level("cpu_percent", 1, days=28, datapoints=336, daily=[1.0] * 28),
            False,
        ),
        ("not a number", level("cpu_percent", float("nan")), False),
    ],
)
def test_idle_instance_is_unknown_without_enough_datapoints(
    case: str, cpu: Figures, is_known: bool
) -> None:
    verdict = judge("ec2.idle", FakeInstance(), *idle_figures(cpu=cpu))
    if is_known:
        assert found(verdict)
    else:
        assert unknown(verdict).rule == "ec2.idle"


def test_idle_instance_without_disk_figures_is_less_sure() -> None:
    figures = idle_figures()[:2]
    verdict = found(judge("ec2.idle", FakeInstance(), *figures))
    assert verdict.confidence == Confidence.MEDIUM
    assert verdict.evidence["disk_ops_per_second"] == "unknown"


def test_denied_cloudwatch_is_the_reason_it_is_unknown() -> None:
    verdict = judge("ec2.idle", FakeInstance(), unseen={"metrics": "CloudWatch denied."})
    assert unknown(verdict).reason == "CloudWatch denied."


@pytest.mark.parametrize("state", ["stopped", "stopping", "pending", "shutting-down"])
def test_only_running_instances_are_idle(state: str) -> None:
    assert judge("ec2.idle", FakeInstance(state=state), *idle_figures()) is None


@pytest.mark.parametrize(
    ("instance", "reason"),
    [
        (FakeInstance(lifecycle="spot"), "does not run on demand"),
        (FakeInstance(spec={"tenancy": "host"}), "hardware is its own"),
        (FakeInstance(instance_type="u-6tb1.metal"), "No list price"),
        (FakeInstance(platform="SUSE Linux"), "No list price"),
    ],
)
def test_idle_instance_of_unknown_price_is_unknown(instance: FakeInstance, reason: str) -> None:
    assert reason in unknown(judge("ec2.idle", instance, *idle_figures())).reason


def test_what_commitments_cover_is_not_saved() -> None:
    verdict = judge("ec2.idle", FakeInstance(), *idle_figures(), coverage="0.25")
    assert usd_of(verdict) == ("52.56", "70.08")
    assert found(verdict).evidence["commitment_coverage"] == "25.0% of compute"


def test_unknown_coverage_is_said() -> None:
    verdict = found(judge("ec2.idle", FakeInstance(), *idle_figures()))
    assert verdict.evidence["commitment_coverage"].startswith("unknown")


def test_terminating_saves_the_volumes_besides() -> None:
    volumes = [make_volume(volume_type="gp2", size_gb=100), make_volume(size_gb=50)]
    verdict = judge("ec2.idle", FakeInstance(), *idle_figures(), related={"volumes": volumes})
    assert found(verdict).evidence["terminating_saves_usd_more"] == "14.00"
    assert usd_of(verdict)[1] == "70.08"


def test_a_member_of_a_group_is_not_to_be_stopped_alone() -> None:
    instance = FakeInstance(tags={"aws:autoscaling:groupName": "web"})
    assert "Auto Scaling" in found(judge("ec2.idle", instance, *idle_figures())).risk


def cpu(p99: float, average: float | None = None, **more: Any) -> Figures:
    return level("cpu_percent", p99, average=p99 if average is None else average, **more)


@pytest.mark.parametrize(
    ("instance_type", "p99", "to_type", "high"),
    [
        ("m5.xlarge", 35.0, "m5.large", "70.08"),  # 70 % on half the vCPUs
        ("m5.xlarge", 35.01, None, ""),
        ("m5.4xlarge", 17.5, "m5.xlarge", "420.48"),  # 0.768 - 0.192
        ("m5.4xlarge", 17.51, "m5.2xlarge", "280.32"),
        ("m5.4xlarge", 8.75, "m5.large", "490.56"),
        ("m5.4xlarge", 60.0, None, ""),
        ("m5.large", 6.0, None, ""),  # nothing smaller
        ("c5.9xlarge", 31.1, "c5.4xlarge", "620.50"),  # 1.53 - 0.68; 36 to 16 vCPUs
        ("c5.9xlarge", 31.2, None, ""),
    ],
)
def test_oversized_instance_gets_the_cheapest_size_that_fits(
    instance_type: str, p99: float, to_type: str | None, high: str
) -> None:
    verdict = judge("ec2.rightsize", FakeInstance(instance_type=instance_type), cpu(p99))
    assert (found(verdict).evidence["to_type"] if verdict else None) == to_type
    if to_type:
        assert usd_of(verdict) == (high, high)
        assert found(verdict).confidence == Confidence.LOW  # nobody knows its memory


@pytest.mark.parametrize(
    ("memory_p99", "to_type"),
    [
        (40.0, "m5.large"),  # 6.4 of 16 GiB: 80 % of 8
        (40.01, None),
        (90.0, None),
    ],
)
def test_known_memory_has_to_fit_as_well(memory_p99: float, to_type: str | None) -> None:
    verdict = judge(
        "ec2.rightsize",
        FakeInstance(instance_type="m5.xlarge"),
        cpu(20),
        level("memory_percent", memory_p99),
    )
    assert (found(verdict).evidence["to_type"] if verdict else None) == to_type
    if to_type:
        assert found(verdict).confidence == Confidence.HIGH


def test_memory_alone_is_not_halved_by_guess() -> None:
    """t3.large and t3.medium have as many vCPUs."""
    instance = FakeInstance(instance_type="t3.large")
    assert judge("ec2.rightsize", instance, cpu(8)) is None
    verdict = judge("ec2.rightsize", instance, cpu(8), level("memory_percent", 40))
    assert found(verdict).evidence["to_type"] == "t3.medium"


@pytest.mark.parametrize(("average", "to_type"), [(15.0, "t3.large"), (15.01, None)])
def test_burstable_types_have_to_last_on_their_baseline(
    average: float, to_type: str | None
) -> None:
    """t3.large has 30 % of its 2 vCPUs for ever: 15 % of the 4 of t3.xlarge."""
    verdict = judge("ec2.rightsize", FakeInstance(instance_type="t3.xlarge"), cpu(30, average))
    assert (found(verdict).evidence["to_type"] if verdict else None) == to_type


def test_traffic_and_disk_have_to_fit() -> None:
    instance = FakeInstance(instance_type="m5.xlarge")
    hourly_limit = 0.5e9 / 8 * 3600  # m5.large: 2 vCPUs of 0.25 Gbit/s
    for p99, is_found in ((hourly_limit, True), (hourly_limit * 1.01, False)):
        network = amount("network_bytes", 1, p99=p99)
        assert bool(judge("ec2.rightsize", instance, cpu(20), network)) == is_found
    for ops, is_found in ((1600 * 3600, True), (1601 * 3600, False)):
        disk = amount("disk_ops", 1, p99=ops)
        assert bool(judge("ec2.rightsize", instance, cpu(20), disk)) == is_found


def test_hours_it_did_not_run_save_nothing_at_the_lower_end() -> None:
    figures = cpu(30, datapoints=302)  # 90 % of the hours, to the nearest
    verdict = judge("ec2.rightsize", FakeInstance(instance_type="m5.xlarge"), figures)
    assert usd_of(verdict) == ("62.99", "70.08")


def test_oversized_instance_of_an_unknown_type_is_unknown() -> None:
    verdict = unknown(judge("ec2.rightsize", FakeInstance(instance_type="p5.48xlarge"), cpu(5)))
    assert verdict.reason == "Its instance type is not known."
    assert "p5.48xlarge" in verdict.needs


def test_smaller_sizes_stay_in_the_family_and_are_smaller() -> None:
    for name in ("m5.24xlarge", "c5.18xlarge", "t3.2xlarge", "m6g.16xlarge", "c4.8xlarge"):
        current = type_of(name)
        sizes = smaller_than(current)
        assert sizes
        for size in sizes:
            assert size.family == current.family
            assert size.vcpus <= current.vcpus
            assert size.memory_gib < current.memory_gib


@pytest.mark.parametrize(
    ("name", "vcpus", "memory_gib"),
    [
        ("m5.large", 2, 8),
        ("c5.9xlarge", 36, 72),
        ("r5.24xlarge", 96, 768),
        ("t3.nano", 2, 0.5),
        ("t2.small", 1, 2),
        ("c4.8xlarge", 36, 60),
        ("m4.10xlarge", 40, 160),
        ("m6g.medium", 1, 4),
        ("r3.large", 2, 15.25),
    ],
)
def test_types_have_what_aws_says(name: str, vcpus: int, memory_gib: float) -> None:
    known = type_of(name)
    assert (known.vcpus, known.memory_gib) == (vcpus, memory_gib)


@pytest.mark.parametrize("name", ["", "m5", "m5.huge", ".large", "t3.metal", "m5.large.large"])
def test_types_nobody_knows_are_an_error(name: str) -> None:
    with pytest.raises(TypeUnknownError):
        type_of(name)


def week_figures(idle_hours: range, *, days: int = 28) -> tuple[Figures, Figures]:
    """Asleep in these hours of the week and busy in all others."""
    busy = [3.0 if hour in idle_hours else 40.0 for hour in range(168)]
    traffic = [900.0 * 3600 if hour in idle_hours else 1e9 for hour in range(168)]
    return (
        level("cpu_percent", 40, days=days, hour_of_week=busy),
        amount("network_bytes", 1e9, days=days, hour_of_week=traffic),
    )


@pytest.mark.parametrize(
    ("hours", "high"),
    [
        (range(3), "1.25"),  # 0.096 x 3 x 4.345
        (range(2), None),
        (range(48), "20.02"),
        (range(167), "69.66"),
        (range(168), None),  # that is no schedule but an idle instance
    ],
)
def test_instance_that_sleeps_at_fixed_hours(hours: range, high: str | None) -> None:
    verdict = judge("ec2.schedule", FakeInstance(), *week_figures(hours))
    assert bool(verdict) == (high is not None)
    if high:
        assert usd_of(verdict) == (high, high)


@pytest.mark.parametrize(
    ("name", "value", "is_found"),
    [
        ("cpu", 5.0, True),
        ("cpu", 5.01, False),
        ("network", 1000.0 * 3600, True),
        ("network", 1000.1 * 3600, False),
        ("network", None, False),
    ],
)
def test_sleeping_hours_by_their_limits(name: str, value: float | None, is_found: bool) -> None:
    cpu_figures, network = week_figures(range(3))
    week = list((cpu_figures if name == "cpu" else network).hour_of_week or [])
    week[1] = value
    if name == "cpu":
        cpu_figures = level("cpu_percent", 40, days=28, hour_of_week=week)
    else:
        network = amount("network_bytes", 1e9, days=28, hour_of_week=week)
    assert bool(judge("ec2.schedule", FakeInstance(), cpu_figures, network)) == is_found


@pytest.mark.parametrize(
    ("days", "confidence"), [(28, Confidence.MEDIUM), (27, Confidence.LOW), (14, Confidence.LOW)]
)
def test_two_sleeping_weeks_do_and_four_are_better(days: int, confidence: Confidence) -> None:
    verdict = judge("ec2.schedule", FakeInstance(), *week_figures(range(48), days=days))
    assert found(verdict).confidence == confidence


def test_an_instance_that_sleeps_in_all_hours_known_has_no_schedule() -> None:
    week = [None if hour % 50 == 0 else 3.0 for hour in range(168)]
    cpu = level("cpu_percent", 3, days=28, hour_of_week=week)
    assert judge("ec2.schedule", FakeInstance(), cpu, week_figures(range(168))[1]) is None


def test_sleeping_hours_are_unknown_before_two_weeks() -> None:
    assert unknown(judge("ec2.schedule", FakeInstance(), *week_figures(range(48), days=13)))
    no_week = (level("cpu_percent", 4, days=28), amount("network_bytes", 1, days=28))
    assert "hour of the week" in unknown(judge("ec2.schedule", FakeInstance(), *no_week)).reason


def test_runs_cross_the_end_of_the_week() -> None:
    idle = [hour >= 166 or hour < 2 for hour in range(168)]
    assert runs_of(idle, at_least=3) == [(166, 4)]
    assert runs_of(idle, at_least=5) == []


def stopped(reason: str = "", **overrides: Any) -> FakeInstance:
    return FakeInstance(state="stopped", spec={"state_reason": reason}, **overrides)


VOLUMES = [make_volume(volume_type="gp2", size_gb=100), make_volume(size_gb=50)]
GMT = "User initiated (2026-11-10 12:00:00 GMT)"


@pytest.mark.parametrize(
    ("case", "instance", "is_found"),
    [
        ("AWS says 14 days", stopped(GMT, state_since=NOW), True),
        ("a second less", stopped(GMT.replace("12:00:00", "12:00:01")), False),
        ("seen 14 days", stopped(state_since=ago(days=14)), True),
        ("seen less", stopped(state_since=ago(days=13.999)), False),
        ("no such day", stopped("User initiated (2026-02-31 12:00:00 GMT)"), True),
        ("running", FakeInstance(), False),
    ],
)
def test_stopped_instance_by_age(case: str, instance: FakeInstance, is_found: bool) -> None:
    verdict = judge("ec2.stopped_ebs", instance, related={"volumes": VOLUMES})
    assert bool(verdict) == is_found
    if is_found:
        assert usd_of(verdict) == ("6.50", "14.00")  # 10 + 4, less snapshots of 150 GB


def test_stopped_instance_saves_its_addresses_but_not_its_own_range() -> None:
    address, own = FakeItem(spec={}), FakeItem(spec={"is_own_range": True})
    related = {"volumes": VOLUMES, "addresses": [address, own]}
    assert usd_of(judge("ec2.stopped_ebs", stopped(), related=related)) == ("10.15", "17.65")


def test_stopped_instance_without_volumes_costs_nothing() -> None:
    assert judge("ec2.stopped_ebs", stopped(), related={"volumes": []}) is None


def test_stopped_instance_is_unknown_while_volumes_are_unseen() -> None:
    assert unknown(judge("ec2.stopped_ebs", stopped(), unseen={"volumes": "Denied."})).reason


@pytest.mark.parametrize(
    ("instance", "to_type", "high"),
    [
        (FakeInstance(instance_type="m4.large"), "m6i.large", "2.92"),  # 0.10 - 0.096
        (FakeInstance(instance_type="m4.10xlarge"), "m6i.12xlarge", None),  # dearer
        (FakeInstance(instance_type="c4.2xlarge"), "c6i.2xlarge", "42.34"),  # 0.398 - 0.34
        (FakeInstance(instance_type="r4.xlarge"), "r6i.xlarge", "10.22"),  # 0.266 - 0.252
        (FakeInstance(instance_type="m3.large"), "m6i.large", "27.01"),  # 0.133 - 0.096
        (FakeInstance(instance_type="c3.large"), "c6i.large", "14.60"),  # 0.105 - 0.085
        (FakeInstance(instance_type="r3.large"), "r6i.large", "29.20"),  # 0.166 - 0.126
        (FakeInstance(instance_type="m5.large"), None, None),
        (FakeInstance(instance_type="t2.micro"), None, None),  # AWS still calls it current
        (FakeInstance(instance_type="m4.large", state="stopped"), None, None),
    ],
)
def test_previous_generation(instance: FakeInstance, to_type: str | None, high: str | None) -> None:
    verdict = judge("prev_gen", instance)
    assert bool(verdict) == (high is not None)
    if high:
        assert found(verdict).evidence["to_type"] == to_type
        assert usd_of(verdict) == (high, high)


def test_previous_generation_compares_prices_of_one_region() -> None:
    """c6i has a price of its own in Ireland, c3 has not: both are taken from us-east-1."""
    verdict = judge("prev_gen", FakeInstance(instance_type="c3.large", region="eu-west-1"))
    assert usd_of(verdict) == ("14.60", "14.60")
    assert found(verdict).evidence["price_region"] == "us-east-1"


def test_previous_generation_on_windows_is_priced_so() -> None:
    verdict = judge("prev_gen", FakeInstance(instance_type="m4.large", platform="Windows"))
    assert usd_of(verdict) == ("2.92", "2.92")
    assert found(verdict).evidence["usd_per_hour"] == ["0.192", "0.188"]


@pytest.mark.parametrize(("saving", "is_found"), [(2.92, True), (2.93, False)])
def test_previous_generation_has_a_least_saving(saving: float, is_found: bool) -> None:
    instance = FakeInstance(instance_type="m4.large")
    assert bool(judge("prev_gen", instance, params={"min_saving_usd": saving})) == is_found


def test_graviton_is_great_effort_and_for_linux_alone() -> None:
    verdict = judge("ec2.graviton", FakeInstance())
    assert usd_of(verdict) == ("13.87", "13.87")  # 0.096 - 0.077, m6g
    assert found(verdict).effort == Effort.HIGH
    assert judge("ec2.graviton", FakeInstance(platform="Windows")) is None
    assert judge("ec2.graviton", FakeInstance(instance_type="m6g.large")) is None


@pytest.mark.parametrize(
    ("instance_type", "cpu_percent", "expected"),
    [
        ("m4.xlarge", 2, ["ec2.idle"]),
        ("m4.xlarge", 20, ["ec2.rightsize"]),
        ("m4.xlarge", 60, ["prev_gen"]),
        ("m5.xlarge", 60, []),
    ],
)
def test_of_one_instance_the_best_finding_counts(
    instance_type: str, cpu_percent: float, expected: list[str]
) -> None:
    instance = FakeInstance(instance_type=instance_type)
    figures = idle_figures(cpu=level("cpu_percent", cpu_percent))
    assert judge_all(instance, *figures, kind=INSTANCE) == expected


@pytest.mark.parametrize("launched_at", [None, NOW])
def test_the_launch_says_nothing_against_datapoints(launched_at: datetime | None) -> None:
    """It is that of the last start, and datapoints of two weeks prove two weeks."""
    assert found(judge("ec2.idle", FakeInstance(launched_at=launched_at), *idle_figures()))


def test_a_summary_without_days_counts_for_its_window() -> None:
    figures = make_figures("cpu_percent", p95=1.0, daily=None)
    assert found(judge("ec2.idle", FakeInstance(), figures, *idle_figures()[1:]))


@pytest.mark.parametrize("family", ALL_FAMILIES, ids=lambda family: str(family.name))
def test_no_type_offers_less_than_the_table_says(family: Family, aws_types: dict[str, Any]) -> None:
    """By AWS's own DescribeInstanceTypes, a copy of which comes with the simulator."""
    for size in family.sizes:
        ours = type_of(f"{family.name}.{size}")
        theirs = aws_types[ours.name]
        assert ours.vcpus == theirs["VCpuInfo"]["DefaultVCpus"], ours.name
        memory_gib = theirs["MemoryInfo"]["SizeInMiB"] / 1024
        assert ours.memory_gib == pytest.approx(memory_gib, rel=0.03) or size == "micro", ours.name
        baseline = theirs["EbsInfo"].get("EbsOptimizedInfo", {}).get("BaselineIops")
        assert baseline is None or ours.storage_iops <= baseline, ours.name
        card = theirs["NetworkInfo"]["NetworkCards"][0]
        if gbps := card.get("BaselineBandwidthInGbps"):
            assert ours.network_gbps <= 1.01 * gbps, ours.name
        assert BUILT_IN_BOOK.instance_hourly(ours.name, "us-east-1").usd > 0


@pytest.fixture(scope="module")
def aws_types() -> dict[str, Any]:
    moto = find_spec("moto")
    assert moto is not None
    assert moto.origin is not None
    path = Path(moto.origin).parent / "ec2" / "resources" / "instance_types.json.gz"
    types: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return types
