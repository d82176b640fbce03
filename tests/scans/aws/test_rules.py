"""Each rule by its table, and what holds for any volume."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scans.aws.collectors.rows import ADDRESS, VOLUME
from scans.aws.rules.all import ALL_RULES, UnknownRuleError, judge_items
from scans.aws.rules.finding import Finding, Params
from scans.models import Confidence

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=400)


@dataclass
class FakeItem:
    """What a row of the inventory offers to a rule."""

    region: str = "us-east-1"
    resource_id: str = "vol-1"
    name: str = ""
    state: str = "available"
    state_since: datetime = LONG_AGO
    first_seen_at: datetime = LONG_AGO
    spec: Any = field(default_factory=dict)


def make_volume(
    *,
    volume_type: str = "gp3",
    size_gb: int = 100,
    created_at: datetime | None = LONG_AGO,
    iops: int | None = None,
    throughput_mbps: int | None = None,
    **overrides: Any,
) -> FakeItem:
    spec = {
        "volume_type": volume_type,
        "size_gb": size_gb,
        "iops": iops,
        "throughput_mbps": throughput_mbps,
        "created_at": created_at.isoformat() if created_at else None,
    }
    return FakeItem(spec=spec, **overrides)


def make_address(**overrides: Any) -> FakeItem:
    fields = {"resource_id": "eipalloc-1", "state": "unassociated"}
    return FakeItem(**{**fields, **overrides}, spec={"public_ip": "203.0.113.7"})


def judge(
    item: FakeItem, kind: str = VOLUME, overrides: dict[str, Params] | None = None
) -> list[Finding]:
    return list(judge_items([item], kind=kind, now=NOW, overrides=overrides))


def ago(**time: float) -> datetime:
    return NOW - timedelta(**time)


@pytest.mark.parametrize(
    ("case", "state", "state_since", "first_seen_at", "created_at", "confidence"),
    [
        ("seen unattached for a week", "available", ago(days=7), ago(days=90), LONG_AGO, "high"),
        ("a second short", "available", ago(days=6.99999), ago(days=90), LONG_AGO, None),
        ("detached yesterday", "available", ago(days=1), ago(days=90), LONG_AGO, None),
        ("first scan, old volume", "available", NOW, NOW, ago(days=8), "low"),
        ("first scan, new volume", "available", NOW, NOW, ago(days=6), None),
        ("first scan, age unknown", "available", NOW, NOW, None, None),
        (
            "never seen attached, second scan",
            "available",
            ago(days=3),
            ago(days=3),
            LONG_AGO,
            "low",
        ),
        ("in use", "in-use", LONG_AGO, LONG_AGO, LONG_AGO, None),
        ("being made", "creating", LONG_AGO, LONG_AGO, LONG_AGO, None),
    ],
)
def test_unattached_volume_by_age(
    case: str,
    state: str,
    state_since: datetime,
    first_seen_at: datetime,
    created_at: datetime | None,
    confidence: str | None,
) -> None:
    volume = make_volume(
        state=state, state_since=state_since, first_seen_at=first_seen_at, created_at=created_at
    )
    findings = judge(volume)
    assert [finding.confidence for finding in findings] == ([confidence] if confidence else [])


@pytest.mark.parametrize(
    ("volume", "low", "high"),
    [
        (make_volume(volume_type="gp2", size_gb=500), "25.00", "50.00"),
        (make_volume(volume_type="gp3", size_gb=100), "3.00", "8.00"),
        (
            make_volume(volume_type="gp3", size_gb=100, iops=4000, throughput_mbps=225),
            "12.00",
            "17.00",
        ),
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
    (finding,) = judge(volume)
    assert finding.rule == "ebs.unattached"
    assert (str(finding.saving_low_usd), str(finding.saving_high_usd)) == (low, high)


def test_volume_of_an_unknown_type_has_no_finding() -> None:
    assert judge(make_volume(volume_type="gp9")) == []


@pytest.mark.parametrize(
    ("size_gb", "low", "high"),
    [
        (8, "0.16", "0.16"),
        (100, "2.00", "2.00"),
        (170, "3.40", "3.40"),
        (200, "0.00", "4.00"),  # 250 MB/s would cost more than gp3 saves
        (1000, "15.00", "20.00"),
        (2000, "20.00", "25.00"),  # 40 - 3,000 IOPS at 0.005 - 125 MB/s at 0.04
        (16_384, "257.68", "262.68"),  # IOPS end at 16,000
    ],
)
def test_gp2_volume_saves_by_size_less_what_gp3_charges_extra(
    size_gb: int, low: str, high: str
) -> None:
    (finding,) = judge(make_volume(volume_type="gp2", size_gb=size_gb, state="in-use"))
    assert finding.rule == "ebs.gp2_gp3"
    assert (str(finding.saving_low_usd), str(finding.saving_high_usd)) == (low, high)
    assert finding.confidence == Confidence.HIGH


@pytest.mark.parametrize("state", ["creating", "deleting", "deleted", "error"])
def test_gp2_volume_that_cannot_change_has_no_finding(state: str) -> None:
    assert judge(make_volume(volume_type="gp2", state=state)) == []


def test_other_types_are_not_offered_gp3() -> None:
    for volume_type in ("gp3", "io1", "st1", "standard"):
        assert judge(make_volume(volume_type=volume_type, state="in-use", iops=100)) == []


def test_saving_of_no_cent_is_no_finding() -> None:
    volume = make_volume(volume_type="gp2", size_gb=0, state="in-use")
    assert judge(volume) == []


def test_gp2_finding_keeps_quiet_below_the_least_saving() -> None:
    volume = make_volume(volume_type="gp2", size_gb=100, state="in-use")
    assert judge(volume, overrides={"ebs.gp2_gp3": {"min_saving_usd": "2.00"}}) == []
    assert judge(volume, overrides={"ebs.gp2_gp3": {"min_saving_usd": 1.99}})


def test_unattached_wins_over_gp3() -> None:
    (finding,) = judge(make_volume(volume_type="gp2"))
    assert finding.rule == "ebs.unattached"


def test_gp3_is_offered_while_a_volume_is_not_long_enough_unattached() -> None:
    volume = make_volume(volume_type="gp2", state_since=ago(days=1))
    (finding,) = judge(volume)
    assert finding.rule == "ebs.gp2_gp3"


@pytest.mark.parametrize(
    ("state", "state_since", "is_found"),
    [
        ("unassociated", ago(days=1), True),
        ("unassociated", ago(hours=23.99), False),
        ("unassociated", NOW, False),
        ("associated", LONG_AGO, False),
    ],
)
def test_unassociated_address_by_age(state: str, state_since: datetime, is_found: bool) -> None:
    findings = judge(make_address(state=state, state_since=state_since), ADDRESS)
    assert bool(findings) == is_found
    for finding in findings:
        assert finding.rule == "eip.unassociated"
        assert finding.saving_low_usd == finding.saving_high_usd == Decimal("3.65")
        assert finding.evidence["public_ip"] == "203.0.113.7"


def test_address_of_the_customers_own_range_is_free() -> None:
    address = make_address()
    address.spec["is_own_range"] = True
    assert judge(address, ADDRESS) == []


def test_thresholds_are_parameters() -> None:
    new_address = make_address(state_since=NOW)
    assert judge(new_address, ADDRESS, {"eip.unassociated": {"min_age_days": 0}})
    new_volume = make_volume(state_since=NOW, first_seen_at=NOW, created_at=NOW)
    (finding,) = judge(new_volume, overrides={"ebs.unattached": {"min_age_days": 0}})
    assert finding.confidence == Confidence.HIGH


@pytest.mark.parametrize(
    "overrides", [{"ebs.unatached": {}}, {"ebs.unattached": {"min_age_hours": 3}}]
)
def test_misspelt_parameters_are_an_error(overrides: dict[str, Params]) -> None:
    with pytest.raises(UnknownRuleError, match="RULES"):
        judge(make_volume(), overrides=overrides)


def test_rule_ids_are_unique() -> None:
    assert len({rule.id for rule in ALL_RULES}) == len(ALL_RULES)


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
    findings = judge(volume)
    assert len(findings) <= 1
    for finding in findings:
        assert 0 <= finding.saving_low_usd <= finding.saving_high_usd
        assert finding.saving_high_usd > 0
        assert finding.evidence["price_region"] in {region, "us-east-1"}
