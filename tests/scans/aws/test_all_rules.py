"""What holds for every rule, whatever it is given."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scans.aws.prices import BUILT_IN_BOOK
from scans.aws.rules.all import ALL_RULES, Said, by_default, judge_item
from scans.aws.rules.finding import Context, Finding, Rule, Unknown, label, plain
from scans.aws.rules.tally import Tally, in_words, undecided
from tests.scans.aws.rule_items import (
    NOW,
    FakeInstance,
    FakeItem,
    amount,
    judge,
    level,
    make_volume,
)

JSON_LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20))
JSON = st.recursive(JSON_LEAVES, lambda inner: st.lists(inner, max_size=3), max_leaves=5)
SPEC_KEYS = [
    "volume_type",
    "size_gb",
    "iops",
    "throughput_mbps",
    "created_at",
    "started_at",
    "volume_id",
    "storage_tier",
    "instance_class",
    "engine",
    "multi_az",
    "storage_type",
    "storage_gb",
    "type",
    "healthy_targets",
    "lifecycle_rules",
    "database_id",
    "snapshot_type",
    "tenancy",
    "state_reason",
    "coverage",
    "ends_at",
    "monthly_usd",
]


def test_rule_ids_are_unique() -> None:
    assert len({rule.id for rule in ALL_RULES}) == len(ALL_RULES)


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.id)
def test_every_threshold_is_a_number(rule: Rule) -> None:
    assert rule.defaults
    for value in rule.defaults.values():
        assert isinstance(value, int | float)
        assert not isinstance(value, bool)


@given(
    spec=st.dictionaries(st.sampled_from(SPEC_KEYS), JSON),
    state=st.sampled_from(
        ["available", "in-use", "running", "stopped", "completed", "active", "unassociated", ""]
    ),
    name=st.text(max_size=300),
    value=st.floats(),
)
def test_no_description_however_odd_stops_the_rules(
    spec: dict[str, Any], state: str, name: str, value: float
) -> None:
    item = FakeInstance(spec=spec, state=state, name=name)
    metrics = {
        metric: level(metric, value)
        for metric in ("cpu_percent", "network_bytes", "connections", "bytes_processed")
    }
    related: dict[str, list[Any]] = {"images": [], "volumes": [item], "databases": []}
    context = Context(now=NOW, params={}, prices=BUILT_IN_BOOK, metrics=metrics, related=related)
    for said in judge_item(item, by_default(), context):
        if isinstance(said.verdict, Finding):
            assert said.verdict.saving_low_usd <= said.verdict.saving_high_usd
            assert len(said.verdict.title) <= 255


def test_a_description_a_rule_cannot_read_is_unknown_to_it() -> None:
    broken = make_volume(state="in-use", volume_type="gp2")
    broken.spec["size_gb"] = "many"
    (said,) = [
        said
        for said in judge_item(broken, by_default(), Context(NOW, {}, BUILT_IN_BOOK))
        if said.rule.id == "ebs.gp2_gp3"
    ]
    assert isinstance(said.verdict, Unknown)
    assert said.verdict.needs == "ValueError"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("web", "web (vol-1)"),
        ("", "vol-1"),
        ("vol-1", "vol-1"),
        ("a\x00b\x1b[31mc\n", "ab[31mc (vol-1)"),
        ("\u202egnp.exe", "gnp.exe (vol-1)"),
        ("\u200b", "vol-1"),
        ("x" * 1000, "x" * 79 + "… (vol-1)"),
        ("=cmd|' /C calc'!A0", "=cmd|' /C calc'!A0 (vol-1)"),
        ("<script>alert(1)</script>", "<script>alert(1)</script> (vol-1)"),
    ],
)
def test_names_are_shown_as_one_short_line(name: str, shown: str) -> None:
    assert label(FakeItem(name=name)) == shown


@given(st.text())
def test_plain_text_has_no_controls_and_is_short(text: str) -> None:
    shown = plain(text, 40)
    assert len(shown) <= 40
    assert not any(unicodedata.category(c) in {"Zl", "Zp"} for c in shown)
    assert not any(unicodedata.category(c).startswith("C") for c in shown)


def _tally(*items: FakeItem) -> dict[str, Any]:
    tally = Tally(by_default())
    choices = [c for c in by_default() if c.rule.kind == "ebs_volume"]
    for item in items:
        for said in judge_item(item, choices, Context(NOW, {}, BUILT_IN_BOOK)):
            tally.add(said)
    tally.skip("elastic_ip", "eu-west-1", "ec2 DescribeAddresses: denied.")
    return tally.as_json()


def test_the_tally_says_why_there_is_nothing() -> None:
    rules = _tally(make_volume(volume_type="gp2"), make_volume(state="in-use"))
    assert rules["ebs.unattached"]["found"] == 1
    assert rules["ebs.gp2_gp3"]["superseded"] == 1
    assert in_words(rules["ebs.unattached"]) == "Looked at 2, found 1."
    assert in_words(rules["ebs.low_io"]) == (
        "Looked at 2, found nothing. 1 cannot be judged: "
        "1 × CloudWatch has no datapoints of volume operations."
    )
    assert in_words(rules["ebs.gp2_gp3"]) == (
        "Looked at 2, found nothing. 1 more are covered by better findings."
    )
    assert undecided(rules) == [
        "Volume without traffic: 1 of 2. CloudWatch has no datapoints of volume operations."
    ]
    assert in_words(rules["eip.unassociated"]) == (
        "Not looked in eu-west-1: ec2 DescribeAddresses: denied."
    )
    assert in_words(rules["ec2.graviton"]) == "Off unless a setting turns it on."
    assert in_words(rules["nat.idle"]) == "There is nothing of this kind in the account."


def test_prices_that_stand_in_are_named() -> None:
    verdict = judge("nat.idle", FakeItem(region="mx-central-1"), amount("bytes_processed", 0))
    assert isinstance(verdict, Finding)
    assert verdict.evidence["price_region"] == "us-east-1"
    assert verdict.evidence["price_basis"].startswith("built-in list prices")
    assert verdict.evidence["prices_as_of"] == "2026-11"


def test_a_finding_elsewhere_that_saves_the_whole_price_leaves_none_here() -> None:
    choices = [c for c in by_default() if c.rule.id == "ebs.gp2_gp3"]
    volume, context = make_volume(volume_type="gp2"), Context(NOW, {}, BUILT_IN_BOOK)
    (free,) = judge_item(volume, choices, context)
    (claimed,) = judge_item(volume, choices, context, is_claimed=True)
    assert claimed == replace(free, is_superseded=True)
    assert isinstance(free, Said)


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.id)
def test_the_page_on_rules_names_each_with_its_parameters(rule: Rule) -> None:
    page = (Path(__file__).parents[3] / "docs" / "rules.md").read_text()
    (line,) = [line for line in page.splitlines() if line.startswith(f"| `{rule.id}` |")]
    for name, value in rule.defaults.items():
        assert f"`{name}`" in line
        assert name == "min_coverage" or f"`{name}` {value}" in line
