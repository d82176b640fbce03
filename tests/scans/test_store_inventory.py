"""Storing what a look saw: repeatable, in few statements, and honest about what is gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.forms.models import model_to_dict
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from scans.aws.collectors.rows import ADDRESS, INSTANCE, VOLUME, InstanceRow, ResourceRow
from scans.aws.store import BATCH, InventoryStore
from scans.models import Instance, Resource
from tests.factories import make_instance, make_resource, make_scan_job

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

REGION = "eu-west-1"
LAUNCHED = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def instance_row(number: int = 1, **overrides: Any) -> InstanceRow:
    fields: dict[str, Any] = {
        "region": REGION,
        "resource_id": f"i-{number}",
        "name": f"web-{number}",
        "state": "running",
        "instance_type": "t3.micro",
        "availability_zone": "eu-west-1a",
        "launched_at": LAUNCHED,
        "tags": {"team": "a"},
    }
    return InstanceRow(**{**fields, **overrides})


def volume_row(number: int = 1, **overrides: Any) -> ResourceRow:
    fields: dict[str, Any] = {
        "region": REGION,
        "resource_id": f"vol-{number}",
        "kind": VOLUME,
        "name": "",
        "state": "available",
        "spec": {"volume_type": "gp2", "size_gb": 100},
    }
    return ResourceRow(**{**fields, **overrides})


@pytest.fixture
def store() -> InventoryStore:
    job = make_scan_job()
    assert job.account is not None
    return InventoryStore(job.account, job)


def test_an_instance_is_stored_with_all_its_columns(store: InventoryStore) -> None:
    store.write(REGION, INSTANCE, [instance_row()])
    stored = Instance.objects.get()
    assert (stored.tenant_id, stored.account) == (store.account.tenant_id, store.account)
    assert (stored.resource_id, stored.name, stored.state) == ("i-1", "web-1", "running")
    assert (stored.instance_type, stored.lifecycle) == ("t3.micro", "on-demand")
    assert (stored.launched_at, stored.tags) == (LAUNCHED, {"team": "a"})
    assert (stored.monthly_cost_usd, stored.last_job) == (Decimal("8.322"), store.job)


def test_a_second_look_at_the_same_changes_only_times(store: InventoryStore) -> None:
    def facts() -> list[dict[str, Any]]:
        rows = [*Instance.objects.order_by("pk"), *Resource.objects.order_by("pk")]
        return [model_to_dict(row, exclude=["last_seen_at"]) for row in rows]

    def look() -> None:
        store.write(REGION, INSTANCE, [instance_row(n) for n in range(3)])
        store.write(REGION, VOLUME, [volume_row(n) for n in range(3)])

    look()
    before, seen_at = facts(), Instance.objects.order_by("pk")[0].last_seen_at
    look()
    assert facts() == before
    assert Instance.objects.order_by("pk")[0].last_seen_at > seen_at


def test_a_change_is_stored_and_dates_the_new_state(store: InventoryStore) -> None:
    store.write(REGION, VOLUME, [volume_row(state="in-use")])
    first = Resource.objects.get()
    store.write(REGION, VOLUME, [volume_row(state="available", name="data")])
    changed = Resource.objects.get()
    assert (changed.pk, changed.state, changed.name) == (first.pk, "available", "data")
    assert changed.first_seen_at == first.first_seen_at
    assert changed.state_since is not None
    assert changed.state_since > first.first_seen_at


def test_a_thing_never_seen_in_another_state_is_as_old_as_its_first_sight(
    store: InventoryStore,
) -> None:
    store.write(REGION, VOLUME, [volume_row()])
    store.write(REGION, VOLUME, [volume_row()])
    assert Resource.objects.get().state_since is None


def test_a_row_named_twice_in_a_page_is_stored_once_as_last_told(store: InventoryStore) -> None:
    store.write(REGION, VOLUME, [volume_row(state="in-use"), volume_row(state="available")])
    assert Resource.objects.get().state == "available"


def test_kinds_and_regions_do_not_mix(store: InventoryStore) -> None:
    store.write(REGION, VOLUME, [volume_row(resource_id="same")])
    store.write(REGION, ADDRESS, [volume_row(resource_id="same", kind=ADDRESS)])
    store.write("us-east-1", VOLUME, [volume_row(resource_id="same", region="us-east-1")])
    assert Resource.objects.count() == 3


def test_a_thousand_rows_take_a_handful_of_statements(store: InventoryStore) -> None:
    rows = [instance_row(n) for n in range(2 * BATCH)]
    with CaptureQueriesContext(
        connection,
    ) as queries:
        store.write(REGION, INSTANCE, rows)
    inserts = [q for q in queries if q["sql"].startswith("INSERT")]
    assert Instance.objects.count() == 2 * BATCH
    assert len(inserts) <= 2 * 12  # SQLite splits a statement by its number of variables
    assert len(queries) <= 40


def test_what_a_look_no_longer_sees_is_gone_and_the_rest_is_not(store: InventoryStore) -> None:
    store.write(REGION, VOLUME, [volume_row(1), volume_row(2)])
    elsewhere = make_resource(account=store.account, region="us-east-1")
    other_kind = make_resource(account=store.account, kind=ADDRESS)
    other_account = make_resource()
    began_at = timezone.now()
    store.write(REGION, VOLUME, [volume_row(1)])
    assert store.mark_gone(REGION, VOLUME, unseen_since=began_at) == 1
    present = set(Resource.objects.present().values_list("resource_id", flat=True))
    assert present == {"vol-1", *(r.resource_id for r in (elsewhere, other_kind, other_account))}


def test_marking_gone_again_keeps_the_first_time(store: InventoryStore) -> None:
    gone_at = timezone.now() - timedelta(days=3)
    old = make_instance(account=store.account, gone_at=gone_at, last_seen_at=gone_at)
    assert store.mark_gone(REGION, INSTANCE, unseen_since=timezone.now()) == 0
    old.refresh_from_db()
    assert old.gone_at == gone_at


def test_what_comes_back_is_no_longer_gone(store: InventoryStore) -> None:
    store.write(REGION, VOLUME, [volume_row()])
    store.mark_gone(REGION, VOLUME, unseen_since=timezone.now() + timedelta(seconds=1))
    assert Resource.objects.get().is_gone
    store.write(REGION, VOLUME, [volume_row()])
    assert not Resource.objects.get().is_gone


def test_a_terminated_instance_is_gone_once_and_keeps_its_name(store: InventoryStore) -> None:
    store.write(REGION, INSTANCE, [instance_row()])
    dead = replace(instance_row(), state="terminated", name="", tags={})
    store.write(REGION, INSTANCE, [dead])
    buried = Instance.objects.get()
    assert (buried.state, buried.name, buried.is_gone) == ("terminated", "web-1", True)
    store.write(REGION, INSTANCE, [dead])
    assert Instance.objects.get().gone_at == buried.gone_at


def test_an_instance_never_seen_alive_gets_no_row(store: InventoryStore) -> None:
    store.write(REGION, INSTANCE, [instance_row(state="terminated")])
    assert not Instance.objects.exists()


def test_long_names_are_cut_to_the_column(store: InventoryStore) -> None:
    store.write(REGION, VOLUME, [volume_row(name="x" * 300)])
    assert Resource.objects.get().name == "x" * 255
