"""Pages of things for the rules: all of a kind, each once, small regions together."""

from __future__ import annotations

import pytest
from django.utils import timezone

from scans.aws import things
from scans.aws.collectors.rows import INSTANCE, VOLUME
from scans.models import Account
from tests.factories import make_account, make_instance, make_resource

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def account() -> Account:
    return make_account()


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(things, "BATCH", 3)


def read(account: Account, kind: str, *regions: str) -> list[list[str]]:
    return [
        [f"{thing.region} {thing.resource_id}" for thing in page]
        for page in things.pages(account, kind, regions)
    ]


def test_each_present_thing_of_the_kind_and_regions_comes_once(account: Account) -> None:
    for number in range(7):
        make_resource(account=account, region="a", resource_id=f"vol-{number}")
    make_resource(account=account, region="b", resource_id="vol-0")
    make_resource(account=account, region="c", resource_id="vol-0")
    make_resource(account=account, region="a", resource_id="ip", kind="elastic_ip")
    make_resource(account=account, region="a", resource_id="gone", gone_at=timezone.now())
    make_resource(region="a", resource_id="of-another-account")
    found = [name for page in read(account, VOLUME, "a", "b") for name in page]
    assert sorted(found) == [*(f"a vol-{number}" for number in range(7)), "b vol-0"]
    assert len(set(found)) == len(found)


def test_small_regions_share_a_page_and_no_page_is_twice_as_large(account: Account) -> None:
    for region, count in {"a": 1, "b": 1, "c": 2, "d": 6, "e": 2, "f": 2}.items():
        for number in range(count):
            make_resource(account=account, region=region, resource_id=f"vol-{number}")
    sizes = [len(page) for page in read(account, VOLUME, *"abcdef")]
    assert sum(sizes) == 14
    assert all(3 <= size < 6 for size in sizes[:-1])


def test_an_instance_has_what_only_instances_have(account: Account) -> None:
    stored = make_instance(account=account, region="a", instance_type="m5.large")
    (page,) = things.pages(account, INSTANCE, ["a"])
    (thing,) = page
    assert isinstance(thing, things.InstanceThing)
    assert (thing.instance_type, thing.launched_at) == ("m5.large", stored.launched_at)
    assert (thing.tags, thing.spec) == (stored.tags, stored.spec)


def test_nothing_is_no_page(account: Account) -> None:
    assert read(account, VOLUME, "a") == []
