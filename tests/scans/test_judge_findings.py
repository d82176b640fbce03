"""From rows to recommendations: what a rescan says anew and what stays a person's decision."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from scans.aws import findings, things
from scans.aws.collectors.rows import ADDRESS, DATABASE, DATABASE_SNAPSHOT, VOLUME
from scans.models import Account, Recommendation, Resource
from tests.factories import make_account, make_resource, make_scan_job

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

REGION = "eu-west-1"
LONG_AGO = timezone.now() - timedelta(days=30)


@pytest.fixture
def account() -> Account:
    return make_account()


def make_gp2(account: Account, **overrides: Any) -> Resource:
    fields = {"state": "in-use", "spec": {"volume_type": "gp2", "size_gb": 100}}
    return make_resource(**{"account": account, **fields, **overrides})


def make_unattached(account: Account, **overrides: Any) -> Resource:
    return make_resource(account=account, state_since=LONG_AGO, first_seen_at=LONG_AGO, **overrides)


def judge(account: Account, *known: tuple[str, str]) -> dict[str, object]:
    job = make_scan_job(account=account, state="COMPLETED")
    return findings.judge(account, job, known or {(VOLUME, REGION), (ADDRESS, REGION)})


def test_a_finding_has_evidence_savings_and_a_fingerprint(account: Account) -> None:
    volume = make_gp2(account, name="data")
    totals = judge(account)
    found = Recommendation.objects.get()
    assert found.fingerprint == f"{account.pk}|{REGION}|ebs.gp2_gp3|{volume.resource_id}"
    assert (found.tenant, found.status, found.resource_name) == (account.tenant, "open", "data")
    assert 0 < found.saving_low_usd <= found.saving_high_usd
    assert found.evidence["size_gb"] == 100
    assert (totals["open"], totals["new"], totals["resolved"]) == (1, 1, 0)
    assert totals["saving_high_usd"] == f"{found.saving_high_usd:.2f}"


def test_a_volume_that_could_go_is_not_counted_twice(account: Account) -> None:
    make_unattached(account)
    totals = judge(account)
    assert [r.rule for r in Recommendation.objects.all()] == ["ebs.unattached"]
    assert totals["open"] == 1


def test_judging_again_keeps_one_row_and_its_first_sight(account: Account) -> None:
    make_gp2(account)
    judge(account)
    first = Recommendation.objects.get()
    totals = judge(account)
    again = Recommendation.objects.get()
    assert (again.pk, again.first_seen_at) == (first.pk, first.first_seen_at)
    assert again.last_seen_at > first.last_seen_at
    assert (again.version, totals["new"]) == (first.version, 0)


def test_a_finding_no_longer_made_is_resolved_and_open_again_when_back(account: Account) -> None:
    volume = make_gp2(account)
    judge(account)
    Resource.objects.update(spec={"volume_type": "gp3", "size_gb": 100})
    assert judge(account)["resolved"] == 1
    resolved = Recommendation.objects.get()
    assert resolved.status == "resolved"
    assert resolved.resolved_at is not None
    Resource.objects.filter(pk=volume.pk).update(spec={"volume_type": "gp2", "size_gb": 100})
    judge(account)
    back = Recommendation.objects.get()
    assert (back.status, back.resolved_at) == ("open", None)
    assert back.version > resolved.version


def test_what_is_gone_has_its_finding_resolved(account: Account) -> None:
    make_gp2(account)
    judge(account)
    Resource.objects.update(gone_at=timezone.now())
    judge(account)
    assert Recommendation.objects.get().status == "resolved"


def test_nothing_changes_where_this_scan_saw_nothing(account: Account) -> None:
    make_gp2(account)
    make_gp2(account, region="us-east-1")
    judge(account, (VOLUME, REGION), (VOLUME, "us-east-1"))
    Resource.objects.update(gone_at=timezone.now())
    judge(account, (VOLUME, "us-east-1"))
    statuses = dict(Recommendation.objects.values_list("region", "status"))
    assert statuses == {REGION: "open", "us-east-1": "resolved"}


def test_a_dismissed_finding_stays_dismissed_found_or_not(account: Account) -> None:
    volume = make_gp2(account)
    judge(account)
    assert findings.dismiss(Recommendation.objects.get(), by="alice", reason="Wanted so.")
    judge(account)
    kept = Recommendation.objects.get()
    assert (kept.status, kept.dismissed_reason) == ("dismissed", "Wanted so.")
    Resource.objects.filter(pk=volume.pk).update(gone_at=timezone.now())
    judge(account)
    assert Recommendation.objects.get().status == "dismissed"


def test_a_snoozed_finding_sleeps_until_its_time(account: Account) -> None:
    make_gp2(account)
    judge(account)
    until = timezone.now() + timedelta(days=1)
    found = Recommendation.objects.get()
    assert findings.snooze(found, until=until, by="alice", reason="After the sale.")
    judge(account)
    asleep = Recommendation.objects.get()
    assert (asleep.status, asleep.snoozed_until) == ("snoozed", until)
    assert (asleep.dismissed_by, asleep.dismissed_reason) == ("alice", "After the sale.")
    Recommendation.objects.update(snoozed_until=timezone.now())
    judge(account)
    awake = Recommendation.objects.get()
    assert (awake.status, awake.snoozed_until) == ("open", None)
    assert (awake.dismissed_at, awake.dismissed_by, awake.dismissed_reason) == (None, "", "")


def test_another_accounts_volumes_are_not_judged(account: Account) -> None:
    make_gp2(make_account())
    assert judge(account)["open"] == 0
    assert not Recommendation.objects.exists()


def test_more_volumes_than_a_page_are_all_judged(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(things, "BATCH", 3)
    for _ in range(8):
        make_gp2(account)
    assert judge(account)["open"] == 8


OTHER = "us-east-1"
BOTH = [(kind, region) for kind in (DATABASE, DATABASE_SNAPSHOT) for region in (REGION, OTHER)]


def test_a_snapshots_database_is_the_one_of_its_own_region(account: Account) -> None:
    spec = {
        "snapshot_type": "manual",
        "created_at": LONG_AGO.replace(year=LONG_AGO.year - 1).isoformat(),
        "database_id": "orders",
        "size_gb": 100,
    }
    for region in (REGION, OTHER):
        make_resource(
            account=account,
            kind=DATABASE_SNAPSHOT,
            region=region,
            resource_id="orders-final",
            spec=spec,
        )
    make_resource(account=account, kind=DATABASE, region=OTHER, resource_id="orders", spec={})
    assert judge(account, *BOTH)["open"] == 1
    assert Recommendation.objects.get().region == REGION
    Resource.objects.filter(kind=DATABASE).update(region=REGION)
    assert judge(account, *BOTH)["resolved"] == 1
    assert Recommendation.objects.get(status="open").region == OTHER


def test_what_is_gone_in_one_region_stays_found_in_another(account: Account) -> None:
    for region in (REGION, OTHER):
        make_gp2(account, region=region, resource_id="vol-1")
    known = [(VOLUME, REGION), (VOLUME, OTHER)]
    assert judge(account, *known)["open"] == 2
    Resource.objects.filter(region=OTHER).update(gone_at=timezone.now())
    assert judge(account, *known)["resolved"] == 1
    assert Recommendation.objects.get(status="open").region == REGION
