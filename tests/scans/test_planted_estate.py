"""A planted estate: each truth is found with its saving, and nothing else is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from scans.aws import findings, judging, things
from scans.aws.rules.all import ALL_RULES
from scans.models import MetricSummary, Recommendation, ScanUnit
from tests.factories import make_scan_job
from tests.scans.planted import HOSTILE, REGION, Estate, plant

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

# Rules that need what this estate has not (hours of the week), or that are off unless wanted.
NOT_PLANTED = {"ec2.schedule", "ec2.graviton"}


@pytest.fixture
def estate() -> Estate:
    return plant()


def judge(estate: Estate, *known: tuple[str, str]) -> dict[str, Any]:
    job = make_scan_job(account=estate.account, state="COMPLETED")
    result: dict[str, Any] = findings.judge(estate.account, job, known or estate.known)
    return result


def found() -> dict[tuple[str, str], tuple[Decimal, Decimal]]:
    rows = Recommendation.objects.open()
    return {(row.rule, row.resource_id): (row.saving_low_usd, row.saving_high_usd) for row in rows}


def is_near(value: Decimal, truth: float) -> bool:
    """Within 1 %, or half a cent, to which everything is rounded."""
    return abs(float(value) - truth) <= max(0.01 * abs(truth), 0.005)


def test_each_truth_is_found_and_nothing_else(estate: Estate) -> None:
    judge(estate)
    assert set(found()) == set(estate.truths)
    for key, (low, high) in found().items():
        true_low, true_high = estate.truths[key]
        assert is_near(low, true_low), (key, low, true_low)
        assert is_near(high, true_high), (key, high, true_high)


def test_every_rule_has_a_truth_in_the_estate(estate: Estate) -> None:
    assert {rule for rule, _ in estate.truths} == {rule.id for rule in ALL_RULES} - NOT_PLANTED


def test_the_total_is_the_sum_of_what_can_be_had_together(estate: Estate) -> None:
    result = judge(estate)
    low, high = (sum(truth[end] for truth in estate.truths.values()) for end in (0, 1))
    assert is_near(Decimal(result["saving_low_usd"]), low)
    assert is_near(Decimal(result["saving_high_usd"]), high)
    assert result["open"] == result["new"] == len(estate.truths)


def test_what_cannot_be_judged_is_counted_and_has_a_reason(estate: Estate) -> None:
    rules = judge(estate)["rules"]
    assert set(rules) == {rule.id for rule in ALL_RULES}
    for rule, expected in estate.unknown.items():
        assert rules[rule]["unknown"] == expected, rule
    told = {rule: counts["unknown"] for rule, counts in rules.items() if counts["unknown"]}
    assert set(told) - set(estate.unknown) == {"ec2.schedule"}, "nobody kept hours of the week"
    for rule, counts in rules.items():
        assert sum(why["count"] for why in counts["reasons"]) == counts["unknown"], rule
        if not counts["looked_at"]:
            assert counts["not_looked"], rule


def test_judging_again_changes_nothing(estate: Estate) -> None:
    judge(estate)
    before = found()
    again = judge(estate)
    assert (again["new"], again["resolved"]) == (0, 0)
    assert found() == before


def test_evidence_is_complete(estate: Estate) -> None:
    judge(estate)
    for row in Recommendation.objects.all():
        assert row.action, row.rule
        assert row.risk, row.rule
        if not row.rule.startswith("commit."):
            assert row.evidence["prices_as_of"], row.rule
            assert row.evidence["price_basis"], row.rule
            assert row.evidence["price_region"] == REGION, row.rule
        if row.rule in {"ec2.idle", "ec2.rightsize", "rds.idle", "nat.idle", "ebs.low_io"}:
            assert row.evidence["datapoints"] == "336 of 336", row.rule
            assert row.evidence["window_days"] == 14, row.rule


def test_upper_bounds_are_marked(estate: Estate) -> None:
    judge(estate)
    marked = set(Recommendation.objects.filter(is_upper_bound=True).values_list("rule", flat=True))
    assert marked == {"ebs.snapshot_old", "rds.snapshot", "s3.no_lifecycle", "commit.expiring"}


def test_hostile_names_stay_text_on_one_line(estate: Estate) -> None:
    judge(estate)
    rows = Recommendation.objects.filter(resource_name__in=HOSTILE)
    assert rows.count() == len(HOSTILE)
    for row in rows:
        assert row.title.isprintable()
        assert len(row.title) <= 255


def questions(queries: CaptureQueriesContext) -> int:
    """SQLite takes long inserts in parts; what is asked does not depend on how many rows."""
    return sum(not query["sql"].startswith("INSERT") for query in queries)


def test_queries_grow_with_pages_and_not_with_items(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(estate)
    with CaptureQueriesContext(connection) as few:
        judge(estate)
    for _ in range(300):
        estate.used_volume("gp2", 20)
        estate.busy(estate.instance())
    with CaptureQueriesContext(connection) as many:
        judge(estate)
    assert questions(many) <= questions(few)
    assert Recommendation.objects.open().count() == len(estate.truths) + 300
    pages: list[int] = []
    read = judging.Judging._judge_page

    def counted(self: Any, page: Any, *rest: Any) -> None:
        pages.append(len(page))
        read(self, page, *rest)

    monkeypatch.setattr(things, "BATCH", 50)
    monkeypatch.setattr(judging.Judging, "_judge_page", counted)
    judge(estate)
    assert max(pages) == 50


def deny(estate: Estate, service: str, call: str, action: str) -> dict[str, Any]:
    job = make_scan_job(account=estate.account, state="COMPLETED")
    ScanUnit.objects.create(
        job=job,
        service=service,
        call=call,
        region=REGION,
        outcome="denied",
        missing_action=action,
    )
    known = {pair for pair in estate.known if call != "DescribeImages" or "image" not in pair[0]}
    result: dict[str, Any] = findings.judge(estate.account, job, known)
    return result


def test_denied_metrics_are_the_reason_nothing_is_known(estate: Estate) -> None:
    MetricSummary.objects.all().delete()
    rules = deny(estate, "cloudwatch", "GetMetricData", "cloudwatch:GetMetricData")["rules"]
    for rule in ("ec2.idle", "rds.idle", "nat.idle", "elb.idle"):
        (reason,) = rules[rule]["reasons"]
        assert "allow cloudwatch:GetMetricData" in reason["reason"]
        assert rules[rule]["found"] == 0


def test_unseen_images_leave_every_snapshot_undecided(estate: Estate) -> None:
    judge(estate)
    rules = deny(estate, "ec2", "DescribeImages", "ec2:DescribeImages")["rules"]
    reasons = [why["reason"] for why in rules["ebs.snapshot_old"]["reasons"]]
    assert any("allow ec2:DescribeImages" in reason for reason in reasons)
    snapshots = Recommendation.objects.filter(rule="ebs.snapshot_old")
    assert [row.status for row in snapshots] == ["open"], "found before, and nothing says otherwise"


def test_a_region_that_was_not_seen_is_said_to_be_so(estate: Estate) -> None:
    judge(estate)
    before = found()
    rules = judge(estate, ("elastic_ip", REGION))["rules"]
    assert found() == before
    assert rules["ebs.unattached"]["looked_at"] == 0
    assert rules["ebs.unattached"]["not_looked"][0]["regions"] == [REGION]


def test_a_dismissed_finding_leaves_its_place_to_the_next_best(estate: Estate) -> None:
    judge(estate)
    idle = Recommendation.objects.get(rule="ec2.idle", evidence__instance_type="m4.large")
    assert findings.dismiss(idle, by="alice", reason="It is the spare.")
    judge(estate)
    idle.refresh_from_db()
    assert (idle.status, idle.dismissed_reason) == ("dismissed", "It is the spare.")
    assert ("prev_gen", idle.resource_id) in found()


def test_a_dismissed_stopped_instance_gives_its_volumes_back_to_their_rules(
    estate: Estate,
) -> None:
    judge(estate)
    stopped = Recommendation.objects.get(rule="ec2.stopped_ebs")
    findings.dismiss(stopped, by="alice", reason="Kept for the audit.")
    judge(estate)
    gp2 = Recommendation.objects.open().filter(rule="ebs.gp2_gp3", evidence__size_gb=200)
    assert gp2.count() == 1
    assert ("ec2.stopped_ebs", stopped.resource_id) not in found()
