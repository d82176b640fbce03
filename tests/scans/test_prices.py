"""Prices: the book's order of sources, the built-in table, and the price API's answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from scans.aws import prices
from scans.aws.clients import AwsSession, open_session
from scans.aws.prices import BUILT_IN_BOOK, PriceBook, PriceMissingError
from scans.aws.prices.api import QUERIES, PriceRow, Query, read_product
from scans.aws.prices.book import book_of
from scans.aws.prices.store import (
    due_regions,
    load_book,
    price_ends,
    refresh_prices,
    regions_in_use,
    store_rows,
)
from scans.aws.prices.tasks import refresh_due_prices
from scans.aws.simulator import SIMULATED_KEYS
from scans.models import PriceFetch, PriceItem
from scans.services import add_account
from tests.aws_simulator.fault_proxy import FaultProxy
from tests.factories import make_account, make_instance, make_resource, make_tenant


@pytest.mark.parametrize(
    ("instance_type", "region", "platform", "usd"),
    [
        ("m5.large", "us-east-1", "", "0.096"),
        ("m5.4xlarge", "us-east-1", "Linux/UNIX", "0.768"),
        ("t3.micro", "us-east-1", "", "0.0104"),
        ("m5.large", "eu-west-1", "", "0.107"),
        ("m6i.xlarge", "eu-central-1", "", "0.23"),
        ("t1.micro", "us-east-1", "", "0.02"),
        ("m3.medium", "us-east-1", "", "0.067"),
        ("c4.8xlarge", "us-west-2", "", "1.591"),
        ("r3.xlarge", "us-east-1", "", "0.333"),
        ("i2.xlarge", "us-east-1", "", "0.853"),
        ("m5.large", "us-east-1", "Windows", "0.188"),
        ("t3.large", "us-east-1", "windows", "0.1108"),
    ],
)
def test_instances_cost_what_the_built_in_table_says(
    instance_type: str, region: str, platform: str, usd: str
) -> None:
    price = BUILT_IN_BOOK.instance_hourly(instance_type, region, platform=platform)
    assert price.usd == Decimal(usd)
    assert (price.basis, price.as_of, price.price_region) == ("builtin", "2026-11", region)


def test_another_regions_price_stands_in_and_says_so() -> None:
    price = BUILT_IN_BOOK.instance_hourly("m7g.large", "eu-west-1")
    assert (price.usd, price.price_region) == (Decimal("0.0816"), "us-east-1")


@pytest.mark.parametrize(
    ("instance_type", "platform"),
    [
        ("x1e.large", ""),
        ("m5.enormous", ""),
        ("m5", ""),
        ("", ""),
        ("m5.micro", ""),
        ("m5.large", "Red Hat Enterprise Linux"),
        ("m7g.large", "Windows"),
        ("m3.large", "Windows"),
    ],
)
def test_what_is_not_listed_has_no_price(instance_type: str, platform: str) -> None:
    with pytest.raises(PriceMissingError):
        BUILT_IN_BOOK.instance_hourly(instance_type, "us-east-1", platform=platform)


@pytest.mark.parametrize(
    ("instance_class", "engine", "multi_az", "usd"),
    [
        ("db.m5.large", "mysql", False, "0.171"),
        ("db.m5.large", "mysql", True, "0.342"),
        ("db.m5.2xlarge", "postgres", False, "0.712"),
        ("db.t3.micro", "mariadb", False, "0.017"),
        ("db.t3.medium", "postgres", False, "0.072"),
        ("db.r5.large", "aurora-postgresql", False, "0.29"),
        ("db.r5.large", "aurora-mysql", True, "0.29"),
    ],
)
def test_databases_cost_what_the_built_in_table_says(
    instance_class: str, engine: str, multi_az: bool, usd: str
) -> None:
    price = BUILT_IN_BOOK.rds_hourly(instance_class, engine, "us-east-1", multi_az=multi_az)
    assert price.usd == Decimal(usd)


@pytest.mark.parametrize("engine", ["oracle-ee", "sqlserver-se", ""])
def test_a_licensed_engine_has_no_price(engine: str) -> None:
    with pytest.raises(PriceMissingError):
        BUILT_IN_BOOK.rds_hourly("db.m5.large", engine, "us-east-1", multi_az=False)


def test_everything_else_has_a_built_in_price() -> None:
    book, region = BUILT_IN_BOOK, "eu-central-1"
    assert book.nat_hourly(region).usd * 730 == Decimal("37.96")
    assert book.load_balancer_hourly("application", region).usd == Decimal("0.027")
    assert book.load_balancer_hourly("classic", "us-east-1").usd == Decimal("0.025")
    assert book.address_hourly(region).usd * 730 == Decimal("3.65")
    assert book.s3_gb(region).usd == Decimal("0.0245")
    assert book.snapshot_gb(region).usd == Decimal("0.054")
    assert book.rds_storage_gb("gp2", region, multi_az=True).usd == Decimal("0.23")
    assert book.rds_storage_gb("aurora", region, multi_az=True).usd == Decimal("0.10")
    assert book.rds_snapshot_gb(region).usd == Decimal("0.095")
    assert book.rds_iops("io1", region).usd == Decimal("0.10")
    with pytest.raises(PriceMissingError):
        book.load_balancer_hourly("quantum", region)


def item(region: str, kind: str, key: str, usd: str) -> PriceItem:
    return PriceItem(
        region=region,
        sku_kind=kind,
        key=key,
        usd=Decimal(usd),
        unit="Hrs",
        effective_from=date(2026, 11, 1),
        fetched_at=datetime(2026, 11, 20, tzinfo=UTC),
    )


def test_the_price_api_goes_first_and_the_own_region_before_another() -> None:
    book = book_of(
        [
            item("eu-west-1", "ec2", "m5.large:linux", "0.2"),
            item("us-east-1", "ec2", "x9.large:linux", "3"),
            item("us-east-1", "ec2", "c5.large:linux", "9"),
        ]
    )
    own = book.instance_hourly("m5.large", "eu-west-1")
    assert (own.usd, own.basis, own.as_of) == (Decimal("0.2"), "api", "2026-11-20")
    assert book.instance_hourly("x9.large", "eu-west-1").price_region == "us-east-1"
    assert book.instance_hourly("c5.large", "eu-west-1").usd == Decimal("0.096")
    assert book.instance_hourly("c5.large", "us-east-1").usd == 9


def test_volumes_are_of_the_api_only_when_it_told_all_of_them() -> None:
    figures = {
        "gp2": "0.2",
        "gp3": "0.1",
        "gp3:iops": "0.01",
        "gp3:throughput": "0.05",
        "io1:iops": "0.07",
        "snapshot": "0.06",
    }
    rows = [item("eu-west-1", "ebs", key, usd) for key, usd in figures.items()]
    assert book_of(rows[:-1]).volume("eu-west-1").basis == "builtin"
    listed = book_of(rows).volume("eu-west-1")
    assert (listed.basis, listed.as_of, listed.gb["gp3"]) == ("api", "2026-11-20", Decimal("0.1"))
    # 100 GB and 1,000 IOPS and 75 MB/s beyond what is free: 10 + 10 + 3.75.
    usd = listed.monthly_usd("gp3", size_gb=100, iops=4000, throughput_mbps=200)
    assert usd == Decimal("23.75")
    assert PriceBook().volume("nowhere-1").price_region == "us-east-1"


def product(attributes: dict[str, str], usd: str, *, unit: str = "Hrs", begin: str = "0") -> str:
    """As GetProducts words one, with a dearer tier after the first."""
    dimensions = {
        "a": {"unit": unit, "beginRange": "1000", "pricePerUnit": {"USD": "7"}},
        "b": {"unit": unit, "beginRange": begin, "pricePerUnit": {"USD": usd}},
    }
    term = {"effectiveDate": "2026-11-01T00:00:00Z", "priceDimensions": dimensions}
    return json.dumps(
        {"product": {"sku": "X", "attributes": attributes}, "terms": {"OnDemand": {"X.Y": term}}}
    )


def query_of(kind: str, **filters: str) -> Query:
    return next(
        query
        for query in QUERIES
        if query.sku_kind == kind and filters.items() <= dict(query.filters).items()
    )


@pytest.mark.parametrize(
    ("query", "attributes", "unit", "usd", "key", "read"),
    [
        (
            query_of("ec2", operatingSystem="Windows"),
            {"instanceType": "m5.large", "operatingSystem": "Windows"},
            "Hrs",
            "0.1880000000",
            "m5.large:windows",
            "0.188",
        ),
        (
            query_of("ebs", productFamily="Storage"),
            {"volumeApiName": "gp3"},
            "GB-Mo",
            "0.08",
            "gp3",
            "0.08",
        ),
        (
            query_of("ebs", productFamily="Provisioned Throughput"),
            {"volumeApiName": "gp3", "usagetype": "EU-EBS:VolumeP-Throughput.gp3"},
            "GiBps-mo",
            "40.96",
            "gp3:throughput",
            "0.04",
        ),
        (
            query_of("ebs", productFamily="System Operation"),
            {"volumeApiName": "io1", "usagetype": "EBS:VolumeP-IOPS.piops"},
            "IOPS-Mo",
            "0.065",
            "io1:iops",
            "0.065",
        ),
        (
            query_of("ebs", productFamily="Storage Snapshot"),
            {"usagetype": "EUC1-EBS:SnapshotUsage"},
            "GB-Mo",
            "0.05",
            "snapshot",
            "0.05",
        ),
        (query_of("nat"), {"usagetype": "EU-NatGateway-Hours"}, "Hrs", "0.048", "hour", "0.048"),
        (
            query_of("ipv4"),
            {"usagetype": "EU-PublicIPv4:IdleAddress"},
            "Hrs",
            "0.005",
            "hour",
            "0.005",
        ),
        (
            query_of("elb", productFamily="Load Balancer-Network"),
            {"usagetype": "LoadBalancerUsage"},
            "Hrs",
            "0.0225",
            "network",
            "0.0225",
        ),
        (
            query_of("rds", databaseEngine="PostgreSQL"),
            {
                "instanceType": "db.m5.large",
                "databaseEngine": "PostgreSQL",
                "deploymentOption": "Multi-AZ",
            },
            "Hrs",
            "0.356",
            "db.m5.large:postgres:multi",
            "0.356",
        ),
        (
            query_of("rds_storage", productFamily="Database Storage"),
            {"volumeType": "General Purpose-GP3", "deploymentOption": "Single-AZ"},
            "GB-Mo",
            "0.115",
            "gp3:single",
            "0.115",
        ),
        (
            query_of("s3"),
            {"usagetype": "EU-TimedStorage-ByteHrs"},
            "GB-Mo",
            "0.023",
            "standard",
            "0.023",
        ),
    ],
)
def test_a_product_of_the_price_list_is_read(
    query: Query, attributes: dict[str, str], unit: str, usd: str, key: str, read: str
) -> None:
    row = read_product(product(attributes, usd, unit=unit), query, "eu-west-1")
    assert row == PriceRow("eu-west-1", query.sku_kind, key, Decimal(read), unit, date(2026, 11, 1))


@pytest.mark.parametrize(
    ("kind", "attributes", "usd"),
    [
        ("ec2", {"operatingSystem": "Linux"}, "0.1"),  # no type
        ("ec2", {"instanceType": "m5.large", "operatingSystem": "Linux"}, "0.0000000000"),
        ("nat", {"usagetype": "NatGateway-Bytes"}, "0.045"),
        ("s3", {"usagetype": "TimedStorage-GlacierByteHrs"}, "0.004"),
        (
            "rds",
            {
                "instanceType": "db.r5.large",
                "databaseEngine": "Aurora MySQL",
                "usagetype": "InstanceUsageIOOptimized:db.r5.large",
            },
            "0.377",
        ),
        (
            "rds",
            {
                "instanceType": "db.m5.large",
                "databaseEngine": "MySQL",
                "deploymentOption": "Multi-AZ (readable standbys)",
            },
            "0.5",
        ),
    ],
)
def test_what_no_rule_needs_is_left_out(kind: str, attributes: dict[str, str], usd: str) -> None:
    assert read_product(product(attributes, usd), query_of(kind), "us-east-1") is None


@pytest.fixture
def session(fault_proxy: FaultProxy) -> Iterator[AwsSession]:
    with open_session(SIMULATED_KEYS) as opened:
        yield opened


def answer_prices(proxy: FaultProxy) -> None:
    """The first query has two pages, all others know one instance that none of them keeps."""
    linux = {"operatingSystem": "Linux"}
    first = product({"instanceType": "m5.large", **linux}, "0.5")
    second = product({"instanceType": "m5.xlarge", **linux}, "1")
    page: dict[str, Any] = {"FormatVersion": "aws_v1"}
    proxy.answer(
        "GetProducts",
        page | {"PriceList": [first], "NextToken": "more"},
        page | {"PriceList": [second]},
        page | {"PriceList": []},
    )


@pytest.mark.services
@pytest.mark.both_databases
@pytest.mark.django_db
def test_prices_are_fetched_page_by_page_and_used(
    fault_proxy: FaultProxy, session: AwsSession
) -> None:
    answer_prices(fault_proxy)
    account = make_account()
    make_instance(account=account, region="eu-west-1")
    end = refresh_prices(session, "eu-west-1")
    assert (end.outcome.outcome, end.rows, end.calls) == ("ok", 2, len(QUERIES) + 1)
    asked = json.loads(fault_proxy.calls[0].text)
    assert {"Type": "TERM_MATCH", "Field": "regionCode", "Value": "eu-west-1"} in asked["Filters"]
    assert {call.region for call in fault_proxy.calls} == {"us-east-1"}
    price = load_book(account).instance_hourly("m5.xlarge", "eu-west-1")
    assert [price.usd, price.basis] == [1, "api"]
    assert due_regions(["eu-west-1", "us-east-1"]) == ["us-east-1"]
    (told,) = price_ends(["eu-west-1", "us-east-1"])
    assert told.outcome.message.startswith("Prices of ")


@pytest.mark.services
@pytest.mark.django_db
def test_without_the_permission_the_built_in_table_stands_in_and_says_so(
    fault_proxy: FaultProxy, session: AwsSession
) -> None:
    fault_proxy.deny("GetProducts", service="pricing")
    account = make_account()
    end = refresh_prices(session, "eu-west-1")
    assert (end.outcome.outcome, end.outcome.missing_action) == ("denied", "pricing:GetProducts")
    assert load_book(account).instance_hourly("m5.large", "eu-west-1").basis == "builtin"
    (told,) = price_ends(["eu-west-1"])
    assert "the built-in table is used" in told.outcome.message
    assert PriceFetch.objects.get().fetched_at is None


@pytest.mark.django_db
@pytest.mark.both_databases
def test_a_price_told_again_is_replaced() -> None:
    row = PriceRow("eu-west-1", "nat", "hour", Decimal(1), "Hrs", date(2026, 1, 1))
    store_rows([row, row])
    store_rows([PriceRow("eu-west-1", "nat", "hour", Decimal(2), "Hrs", date(2026, 2, 1))])
    kept = PriceItem.objects.get()
    assert [kept.usd, kept.effective_from] == [2, date(2026, 2, 1)]


@pytest.mark.django_db
def test_old_prices_and_those_of_other_regions_are_left_out() -> None:
    account = make_account()
    make_resource(account=account, region="eu-west-1")
    assert regions_in_use([account]) == {"eu-west-1"}
    for region, age in (("eu-west-1", 31), ("eu-west-2", 0)):
        row = item(region, "nat", "hour", "9")
        row.fetched_at = timezone.now() - timedelta(days=age)
        row.save()
    book = load_book(account)
    assert book.nat_hourly("eu-west-1").basis == "builtin"
    assert book.rows == {}


@pytest.mark.services
@pytest.mark.django_db
def test_the_schedule_asks_once_a_day_with_any_account_that_may(fault_proxy: FaultProxy) -> None:
    answer_prices(fault_proxy)
    account = add_account(
        make_tenant(),
        name="a",
        access_key_id=SIMULATED_KEYS.access_key_id,
        secret_access_key=SIMULATED_KEYS.secret_access_key,
    )
    make_instance(account=account, region="eu-west-1")
    assert refresh_due_prices().processed == 0  # not connected yet
    account.advance("connected")
    report = refresh_due_prices()
    assert (report.processed, report.succeeded, report.failed) == (1, 1, 0)
    fault_proxy.forget_calls()
    assert refresh_due_prices().processed == 0
    assert fault_proxy.calls == []


def test_collectors_and_rules_ask_one_book() -> None:
    assert prices.volume_prices("eu-west-1") == BUILT_IN_BOOK.volume("eu-west-1")
