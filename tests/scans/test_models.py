"""What the tables allow, and what a row says about itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from hostmaster.core.state import InvalidTransitionError
from scans.models import Account, Instance, Recommendation, Resource, ScanJob
from scans.models.owned import ForeignAccountError
from tests.factories import (
    make_account,
    make_instance,
    make_recommendation,
    make_resource,
    make_scan_job,
    make_tenant,
)

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def refused(write: Callable[[], Any]) -> bool:
    """The database does not take it."""
    try:
        with transaction.atomic():
            write()
    except IntegrityError:
        return True
    return False


def test_account_statuses_and_edges_are_what_others_rely_on() -> None:
    assert Account.Status.values == ["pending", "connected", "active", "failed"]
    assert {str(s): {str(to) for to in tos} for s, tos in Account.TRANSITIONS.items()} == {
        "pending": {"connected", "failed"},
        "connected": {"active", "failed"},
        "failed": {"connected"},
        "active": {"failed"},
    }
    assert Account.STATE_FIELD == "status"


@pytest.mark.parametrize("to", ["active", "pending"])
def test_a_new_account_cannot_skip_the_proof_of_its_access(to: str) -> None:
    account = make_account()
    with pytest.raises(InvalidTransitionError):
        account.advance(to)
    account.refresh_from_db()
    assert account.status == "pending"


def test_the_documented_status_query_runs_as_written() -> None:
    make_account(status="active")
    make_account(status="pending")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT status, updated_at FROM accounts\n"
            "WHERE status IN ('connected', 'active', 'failed')"
        )
        assert [row[0] for row in cursor.fetchall()] == ["active"]


def test_an_unknown_account_status_is_refused() -> None:
    account = make_account()
    assert refused(lambda: Account.objects.filter(pk=account.pk).update(status="lost"))


def test_an_account_name_is_unique_within_its_tenant_only() -> None:
    account = make_account(name="prod")
    assert refused(lambda: make_account(tenant=account.tenant, name="prod"))
    make_account(name="prod")


def test_each_account_gets_an_external_id_of_its_own() -> None:
    ids = {make_account().external_id for _ in range(3)}
    assert len(ids) == 3
    assert all(len(one) > 20 for one in ids)


def test_repr_of_account_and_scan_show_no_sealed_value() -> None:
    account = make_account(credentials_sealed="v1:canary")
    job = make_scan_job(
        account=account, credentials_sealed="v1:canary", credentials_expire_at=timezone.now()
    )
    assert "canary" not in f"{account!r} {account} {job!r} {job}"


def test_the_smallest_scan_takes_its_tenant_from_the_account() -> None:
    account = make_account()
    job = ScanJob.objects.create(account=account)
    assert (job.tenant_id, job.kind, job.state) == (account.tenant_id, "aws", "QUEUED")


def test_the_smallest_url_scan_needs_a_url_and_a_tenant() -> None:
    tenant = make_tenant()
    job = ScanJob.objects.create(kind="url", url="https://example.com/", tenant=tenant)
    assert (job.state, job.tenant, job.account) == ("QUEUED", tenant, None)


def test_bulk_create_fills_in_tenants_too() -> None:
    accounts = [make_account(), make_account()]
    ScanJob.objects.bulk_create([ScanJob(account=account) for account in accounts])
    stored = {job.account_id: job.tenant_id for job in ScanJob.objects.all()}
    assert stored == {account.pk: account.tenant_id for account in accounts}


@pytest.mark.parametrize("make", [make_scan_job, make_instance, make_resource, make_recommendation])
def test_a_row_cannot_name_an_account_of_another_tenant(make: Callable[..., Any]) -> None:
    with pytest.raises(ForeignAccountError):
        make(account=make_account(), tenant=make_tenant())


def test_scan_states_and_edges_are_those_of_the_design() -> None:
    edges = {str(s): {str(to) for to in tos} for s, tos in ScanJob.TRANSITIONS.items()}
    running = {"QUEUED", "FAILED", "TIMED_OUT", "CANCELLED"}
    assert edges == {
        "QUEUED": {"FETCHING", "FAILED", "CANCELLED"},
        "FETCHING": running | {"ANALYZING"},
        "ANALYZING": running | {"COMPLETED"},
        "FAILED": {"QUEUED"},
        "TIMED_OUT": {"QUEUED"},
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "url"},
        {"kind": "url", "url": "https://example.com/", "account": True},
        {"kind": "aws"},
        {"kind": "discovery", "url": "https://example.com/", "account": True},
        {"kind": "aws", "account": True, "state": "RUNNING"},
        {"kind": "aws", "account": True, "credentials_sealed": "v1:x"},
    ],
    ids=["no url", "url of an account", "no subject", "discovery of a url", "state", "no expiry"],
)
def test_a_scan_without_a_lawful_subject_is_refused(fields: dict[str, Any]) -> None:
    account = make_account()
    fields = {**fields, "account": account if fields.get("account") else None}
    assert refused(lambda: ScanJob.objects.create(tenant=account.tenant, **fields))


def test_an_ended_scan_cannot_keep_its_credentials() -> None:
    job = make_scan_job(credentials_sealed="v1:x", credentials_expire_at=timezone.now())
    assert refused(lambda: ScanJob.objects.filter(pk=job.pk).update(state="FAILED"))
    assert job.advance("FAILED")
    job.refresh_from_db()
    assert job.credentials_sealed is None


def test_an_account_has_one_open_scan_of_a_kind() -> None:
    job = make_scan_job()
    assert refused(lambda: make_scan_job(account=job.account))
    make_scan_job(account=job.account, kind="discovery")
    assert job.advance("CANCELLED")
    make_scan_job(account=job.account)


def test_a_dead_scan_with_an_open_twin_stays_dead() -> None:
    job = make_scan_job()
    job.advance("FAILED")
    make_scan_job(account=job.account)
    assert refused(lambda: job.advance("QUEUED"))


def test_a_dedupe_key_is_unique_only_while_its_scan_is_open() -> None:
    job = make_scan_job(dedupe_key="same")
    assert refused(lambda: make_scan_job(dedupe_key="same"))
    job.advance("CANCELLED")
    make_scan_job(dedupe_key="same")


def test_dead_lists_failed_and_timed_out_scans_but_not_cancelled_ones() -> None:
    for state in ScanJob.State.values:
        make_scan_job(state=state)
    assert {job.state for job in ScanJob.objects.dead()} == {"FAILED", "TIMED_OUT"}


def test_own_credentials_are_over_when_forgotten_or_expired() -> None:
    now = timezone.now()
    later = now + timedelta(hours=1)
    assert not ScanJob().credentials_are_over(now)
    assert not ScanJob(credentials_sealed="x", credentials_expire_at=later).credentials_are_over(
        now
    )
    assert ScanJob(credentials_sealed="x", credentials_expire_at=now).credentials_are_over(now)
    assert ScanJob(credentials_sealed=None, credentials_expire_at=later).credentials_are_over(now)


def test_a_resource_is_unique_by_kind_an_instance_is_not() -> None:
    account = make_account()
    make_resource(account=account, resource_id="same", kind="volume")
    make_resource(account=account, resource_id="same", kind="address")
    assert refused(lambda: make_resource(account=account, resource_id="same", kind="volume"))
    make_instance(account=account, resource_id="i-1")
    assert refused(lambda: make_instance(account=account, resource_id="i-1"))


def test_present_leaves_out_what_is_gone() -> None:
    instance, volume = make_instance(), make_resource()
    make_instance(gone_at=timezone.now())
    make_resource(gone_at=timezone.now())
    assert list(Instance.objects.present()) == [instance]
    assert list(Resource.objects.present()) == [volume]


def test_a_recommendation_is_unique_by_fingerprint_within_its_account() -> None:
    one = make_recommendation()
    same = {"region": one.region, "rule": one.rule, "resource_id": one.resource_id}
    assert one.fingerprint == f"{one.account_id}|{one.region}|{one.rule}|{one.resource_id}"
    assert refused(lambda: make_recommendation(account=one.account, **same))
    make_recommendation(**same)


def test_a_saving_whose_low_end_is_above_its_high_end_is_refused() -> None:
    assert refused(lambda: make_recommendation(saving_low_usd=2, saving_high_usd=1))


def test_of_an_exclusive_group_only_the_largest_saving_counts() -> None:
    account = make_account()
    group = {"account": account, "exclusive_group": "vol-1"}
    make_recommendation(**group, rule="a", saving_low_usd=1, saving_high_usd=8)
    make_recommendation(**group, rule="b", saving_low_usd=2, saving_high_usd=3)
    make_recommendation(account=account, saving_low_usd=10, saving_high_usd="10.5")
    make_recommendation(account=account, saving_high_usd=99, status="dismissed")
    low, high = Recommendation.objects.open().monthly_saving()
    assert (str(low), str(high)) == ("12.00", "18.50")


def test_the_same_group_name_in_two_regions_counts_twice() -> None:
    account = make_account()
    for region in ("eu-west-1", "us-east-1"):
        make_recommendation(account=account, region=region, exclusive_group="same")
    assert [str(x) for x in Recommendation.objects.open().monthly_saving()] == ["10.00", "20.00"]


def test_no_recommendation_saves_nothing() -> None:
    assert [str(x) for x in Recommendation.objects.open().monthly_saving()] == ["0.00", "0.00"]
