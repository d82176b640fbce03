"""Volumes, snapshots and addresses: each rule by its table."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scans.aws.collectors.rows import VOLUME
from scans.models import Confidence
from tests.scans.aws.rule_items import (
    LONG_AGO,
    NOW,
    FakeInstance,
    FakeItem,
    ago,
    amount,
    found,
    judge,
    judge_all,
    make_volume,
    unknown,
    usd_of,
)

WEEK = ago(days=7)


def make_address(**overrides: Any) -> FakeItem:
    fields = {"resource_id": "eipalloc-1", "state": "unassociated"}
    return FakeItem(**{**fields, **overrides}, spec={"public_ip": "203.0.113.7"})


def make_snapshot(taken_at: datetime | None = LONG_AGO, **overrides: Any) -> FakeItem:
    spec = {
        "volume_id": "vol-gone",
        "size_gb": 200,
        "started_at": taken_at.isoformat() if taken_at else None,
        "storage_tier": "standard",
        **overrides.pop("spec", {}),
    }
    fields = {"resource_id": "snap-1", "state": "completed"}
    return FakeItem(**{**fields, **overrides}, spec=spec)


NOTHING_RELATED: dict[str, list[Any]] = {"images": [], "volumes": []}


@pytest.mark.parametrize(
    ("case", "state", "state_since", "first_seen_at", "created_at", "confidence"),
    [
        ("seen unattached for a week", "available", WEEK, ago(days=90), LONG_AGO, "high"),
        ("a second short", "available", ago(days=6.99999), ago(days=90), LONG_AGO, None),
        ("detached yesterday", "available", ago(days=1), ago(days=90), LONG_AGO, None),
        ("first scan, a week old", "available", NOW, NOW, WEEK, "low"),
        ("first scan, new volume", "available", NOW, NOW, ago(days=6.99999), None),
        ("first scan, age unknown", "available", NOW, NOW, None, None),
        ("never seen attached", "available", ago(days=3), ago(days=3), LONG_AGO, "low"),
        ("never seen otherwise, for a week", "available", None, WEEK, WEEK, "high"),
        ("never seen otherwise, for a day", "available", None, ago(days=1), ago(days=1), None),
        ("in use", "in-use", LONG_AGO, LONG_AGO, LONG_AGO, None),
        ("being made", "creating", LONG_AGO, LONG_AGO, LONG_AGO, None),
    ],
)
def test_unattached_volume_by_age(
    case: str,
    state: str,
    state_since: datetime | None,
    first_seen_at: datetime,
    created_at: datetime | None,
    confidence: str | None,
) -> None:
    volume = make_volume(
        state=state, state_since=state_since, first_seen_at=first_seen_at, created_at=created_at
    )
    verdict = judge("ebs.unattached", volume)
    assert (found(verdict).confidence if verdict else None) == confidence


@pytest.mark.parametrize(
    ("volume", "low", "high"),
    [
        (make_volume(volume_type="gp2", size_gb=500), "25.00", "50.00"),
        (make_volume(volume_type="gp3", size_gb=100), "3.00", "8.00"),
        (make_volume(size_gb=100, iops=4000, throughput_mbps=225), "12.00", "17.00"),
        (make_volume(volume_type="io1", size_gb=100, iops=3000), "202.50", "207.50"),
        (make_volume(volume_type="io2", size_gb=100, iops=40_000), "2451.50", "2456.50"),
        # A snapshot of cold storage costs more than the volume: then nothing is promised.
        (make_volume(volume_type="sc1", size_gb=1000), "0.00", "15.00"),
        (make_volume(volume_type="gp2", size_gb=100, region="eu-central-1"), "6.50", "11.90"),
    ],
)
def test_unattached_volume_saves_its_price_less_a_snapshot(
    volume: FakeItem, low: str, high: str
) -> None:
    assert usd_of(judge("ebs.unattached", volume)) == (low, high)


def test_volume_without_a_list_price_is_unknown() -> None:
    verdict = unknown(judge("ebs.unattached", make_volume(volume_type="gp9")))
    assert verdict.reason == "No list price is known."
    assert "gp9" in verdict.needs


@pytest.mark.parametrize(
    ("size_gb", "low", "high"),
    [
        (1, "0.02", "0.02"),
        (8, "0.16", "0.16"),
        (100, "2.00", "2.00"),
        (170, "3.40", "3.40"),
        (171, "0.00", "3.42"),
        (200, "0.00", "4.00"),  # 250 MB/s would cost more than gp3 saves
        (1000, "15.00", "20.00"),
        (1001, "15.01", "20.01"),  # 20.02 - 3 IOPS at 0.005
        (2000, "20.00", "25.00"),  # 40 - 3,000 IOPS at 0.005 - 125 MB/s at 0.04
        (5333, "36.67", "41.67"),  # 106.66 - 12,999 IOPS, just below the cap
        (5334, "36.68", "41.68"),  # the cap of 16,000
        (16_384, "257.68", "262.68"),
    ],
)
def test_gp2_volume_saves_by_size_less_what_gp3_charges_extra(
    size_gb: int, low: str, high: str
) -> None:
    verdict = judge("ebs.gp2_gp3", make_volume(volume_type="gp2", size_gb=size_gb, state="in-use"))
    assert usd_of(verdict) == (low, high)
    assert found(verdict).confidence == Confidence.HIGH


@pytest.mark.parametrize("state", ["creating", "deleting", "deleted", "error"])
def test_gp2_volume_that_cannot_change_has_no_finding(state: str) -> None:
    assert judge("ebs.gp2_gp3", make_volume(volume_type="gp2", state=state)) is None


@pytest.mark.parametrize("volume_type", ["gp3", "io1", "st1", "standard"])
def test_other_types_are_not_offered_gp3(volume_type: str) -> None:
    volume = make_volume(volume_type=volume_type, state="in-use", iops=100)
    assert judge("ebs.gp2_gp3", volume) is None


def test_saving_of_no_cent_is_no_finding() -> None:
    assert judge("ebs.gp2_gp3", make_volume(volume_type="gp2", size_gb=0, state="in-use")) is None


def test_gp2_finding_keeps_quiet_below_the_least_saving() -> None:
    volume = make_volume(volume_type="gp2", size_gb=100, state="in-use")
    assert judge("ebs.gp2_gp3", volume, params={"min_saving_usd": 2.00}) is None
    assert judge("ebs.gp2_gp3", volume, params={"min_saving_usd": 1.99})


@pytest.mark.parametrize(("ops", "is_found"), [(0, True), (1, False), (5000, False)])
def test_attached_volume_by_its_operations(ops: float, is_found: bool) -> None:
    volume = make_volume(state="in-use")
    verdict = judge("ebs.low_io", volume, amount("volume_ops", ops / 14))
    assert bool(verdict) == is_found
    if is_found:
        assert usd_of(verdict) == ("3.00", "8.00")


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ((), "CloudWatch has no datapoints of volume operations."),
        ((amount("volume_ops", 0, datapoints=0),), "CloudWatch has no datapoints of volume ops"),
        ((amount("volume_ops", 0, days=13),), "Less than 14 days of volume operations are known."),
        ((amount("volume_ops", 0, datapoints=268),), "Less than 80% of the datapoints"),
    ],
)
def test_attached_volume_of_which_too_little_is_known(figures: tuple[Any], reason: str) -> None:
    verdict = unknown(judge("ebs.low_io", make_volume(state="in-use"), *figures))
    assert verdict.reason.startswith(reason.removesuffix("ops"))


def test_four_fifths_of_the_datapoints_are_enough() -> None:
    assert judge("ebs.low_io", make_volume(state="in-use"), amount("volume_ops", 0, datapoints=269))


def test_volume_of_a_stopped_instance_is_not_asked_for_its_operations() -> None:
    stopped = FakeInstance(state="stopped")
    volume = make_volume(state="in-use")
    assert judge("ebs.low_io", volume, related={"instances": [stopped]}) is None
    assert unknown(judge("ebs.low_io", volume, related={"instances": [stopped, FakeInstance()]}))


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        (make_volume(volume_type="gp2"), ["ebs.unattached"]),
        # Not unattached for long enough: cheaper storage is worth it meanwhile.
        (make_volume(volume_type="gp2", state_since=ago(days=1)), ["ebs.gp2_gp3"]),
        (make_volume(volume_type="gp2", state="in-use"), ["ebs.low_io"]),
    ],
)
def test_of_one_volume_the_best_finding_counts(volume: FakeItem, expected: list[str]) -> None:
    assert judge_all(volume, amount("volume_ops", 0), kind=VOLUME) == expected


def test_what_is_dismissed_leaves_its_place_to_the_next_best() -> None:
    volume = make_volume(volume_type="gp2")
    both = ["ebs.unattached", "ebs.gp2_gp3"]
    assert judge_all(volume, kind=VOLUME, dismissed=["ebs.unattached"]) == both


@pytest.mark.parametrize(
    ("snapshot", "is_found"),
    [
        (make_snapshot(ago(days=90)), True),
        (make_snapshot(ago(days=89.999)), False),
        (make_snapshot(state="pending"), False),
        (make_snapshot(spec={"storage_tier": "archive"}), False),
        (make_snapshot(tags={"aws:backup:source-resource": "x"}), False),
        (make_snapshot(tags={"aws:dlm:lifecycle-policy-id": "x"}), False),
        (make_snapshot(tags={"dlm:managed": "true"}), False),
        (make_snapshot(tags={"Backup": "weekly"}), False),
        (make_snapshot(tags={"Name": "dlm:managed"}), True),
    ],
)
def test_old_snapshot_by_age_state_and_tags(snapshot: FakeItem, is_found: bool) -> None:
    verdict = judge("ebs.snapshot_old", snapshot, related=NOTHING_RELATED)
    assert bool(verdict) == is_found
    if is_found:
        assert usd_of(verdict) == ("0.00", "10.00")  # at most 200 GB at 0.05
        assert found(verdict).is_upper_bound


@pytest.mark.parametrize("name", ["images", "volumes"])
def test_snapshot_of_an_image_or_of_a_volume_that_is_there_stays(name: str) -> None:
    related = {**NOTHING_RELATED, name: [FakeItem()]}
    assert judge("ebs.snapshot_old", make_snapshot(), related=related) is None


@pytest.mark.parametrize("name", ["images", "volumes"])
def test_snapshot_is_unknown_while_what_might_need_it_is_unseen(name: str) -> None:
    related = {other: rows for other, rows in NOTHING_RELATED.items() if other != name}
    verdict = unknown(
        judge("ebs.snapshot_old", make_snapshot(), related=related, unseen={name: "Denied."})
    )
    assert verdict.reason == "Denied."


@pytest.mark.parametrize("taken_at", [None, "never", "2026-02-30T00:00:00+00:00"])
def test_snapshot_without_a_readable_date_is_unknown(taken_at: str | None) -> None:
    snapshot = make_snapshot(spec={"started_at": taken_at})
    assert unknown(judge("ebs.snapshot_old", snapshot, related=NOTHING_RELATED))


@pytest.mark.parametrize(
    ("state", "state_since", "is_found"),
    [
        ("unassociated", None, True),
        ("unassociated", ago(days=1), True),
        ("unassociated", ago(hours=23.99), False),
        ("unassociated", NOW, False),
        ("associated", LONG_AGO, False),
    ],
)
def test_unassociated_address_by_age(
    state: str, state_since: datetime | None, is_found: bool
) -> None:
    verdict = judge("eip.unassociated", make_address(state=state, state_since=state_since))
    assert bool(verdict) == is_found
    if is_found:
        assert usd_of(verdict) == ("3.65", "3.65")
        assert found(verdict).evidence["public_ip"] == "203.0.113.7"


def test_address_of_the_customers_own_range_is_free() -> None:
    address = make_address()
    address.spec["is_own_range"] = True
    assert judge("eip.unassociated", address) is None


def test_thresholds_are_parameters() -> None:
    new_address = make_address(state_since=NOW)
    assert judge("eip.unassociated", new_address, params={"min_age_days": 0})
    new_volume = make_volume(state_since=NOW, first_seen_at=NOW, created_at=NOW)
    verdict = judge("ebs.unattached", new_volume, params={"min_age_days": 0})
    assert found(verdict).confidence == Confidence.HIGH


@given(
    volume_type=st.sampled_from(["gp2", "gp3", "io1", "io2", "st1", "sc1", "standard", "new"]),
    size_gb=st.integers(1, 65_536),
    iops=st.one_of(st.none(), st.integers(100, 256_000)),
    throughput_mbps=st.one_of(st.none(), st.integers(1, 2000)),
    state=st.sampled_from(["available", "in-use", "creating"]),
    region=st.sampled_from(["us-east-1", "sa-east-1", "eu-west-1", "mx-central-1"]),
    age=st.timedeltas(timedelta(), timedelta(days=900)),
)
def test_any_volume_has_at_most_one_finding_with_an_honest_range(
    volume_type: str,
    size_gb: int,
    iops: int | None,
    throughput_mbps: int | None,
    state: str,
    region: str,
    age: timedelta,
) -> None:
    volume = make_volume(
        volume_type=volume_type,
        size_gb=size_gb,
        iops=iops,
        throughput_mbps=throughput_mbps,
        state=state,
        region=region,
        state_since=NOW - age,
    )
    counted = judge_all(volume, amount("volume_ops", 0), kind=VOLUME)
    assert len(counted) <= 1
    for rule_id in counted:
        finding = found(judge(rule_id, volume, amount("volume_ops", 0)))
        assert 0 <= finding.saving_low_usd <= finding.saving_high_usd
        assert finding.saving_high_usd > 0
        assert finding.evidence["price_region"] in {region, "us-east-1"}
