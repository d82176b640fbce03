"""Many rows in one statement: what is inserted, what is updated, what is refused."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from scans.aws.upsert import Upsert
from scans.models import Account, Confidence, Instance, MetricSummary, Recommendation
from tests.factories import make_account

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

INSTANCES = Upsert(
    Instance,
    ("account_id", "region", "resource_id"),
    ("name", "tags", "monthly_cost_usd", "launched_at"),
)
FINDINGS = Upsert(Recommendation, ("account_id", "fingerprint"), ("title", "evidence"))
SUMMARIES = Upsert(
    MetricSummary, ("account_id", "region", "resource_id", "metric"), ("daily", "p95")
)
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture
def account() -> Account:
    return make_account()


def shared(account: Account) -> dict[str, Any]:
    return {"tenant_id": account.tenant_id, "account_id": account.pk, "region": "eu-west-1"}


def an_instance(**columns: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"name": "", "tags": {}, "monthly_cost_usd": None, "launched_at": None}
    return {"resource_id": "i-1", **told, **columns}


def test_every_kind_of_value_comes_back_as_it_was_given(account: Account) -> None:
    tags = {"Name": 'it\'s "ü" 100% \\ {} %s', "empty": ""}
    row = an_instance(
        name="%s ü 'x'",
        tags=tags,
        monthly_cost_usd=Decimal("12.34567"),
        launched_at=NOON,
    )
    INSTANCES.write([row, an_instance(resource_id="i-2")], **shared(account))
    one, two = Instance.objects.order_by("resource_id")
    assert (one.name, one.tags, one.launched_at) == ("%s ü 'x'", tags, NOON)
    assert one.monthly_cost_usd == Decimal("12.3457")
    assert (two.name, two.tags, two.monthly_cost_usd, two.launched_at) == ("", {}, None, None)
    assert one.tenant_id == account.tenant_id


def test_what_is_not_named_has_the_models_default(account: Account) -> None:
    INSTANCES.write([an_instance()], **shared(account))
    stored = Instance.objects.get()
    assert (stored.lifecycle, stored.spec, stored.gone_at) == ("on-demand", {}, None)
    assert stored.first_seen_at is not None


def test_known_rows_take_over_what_is_to_be_updated_and_nothing_else(account: Account) -> None:
    INSTANCES.write([an_instance(name="before")], **shared(account), platform="Linux/UNIX")
    known = Instance.objects.get()
    rows = [an_instance(name="after"), an_instance(resource_id="i-2")]
    INSTANCES.write(rows, **shared(account), platform="Windows")
    assert Instance.objects.count() == 2
    known.refresh_from_db()
    assert (known.name, known.platform) == ("after", "Linux/UNIX")


def test_each_finding_has_a_key_of_its_own_and_keeps_it(account: Account) -> None:
    def write(title: str) -> None:
        rows = [
            {
                "fingerprint": number,
                "title": title,
                "confidence": Confidence.LOW,
                "evidence": {"is": [1, None]},
            }
            for number in ("1", "2")
        ]
        FINDINGS.write(rows, **shared(account), rule="some.rule", resource_id="i-1")

    write("one")
    keys = set(Recommendation.objects.values_list("pk", flat=True))
    write("two")
    assert len(keys) == 2
    assert set(Recommendation.objects.values_list("pk", flat=True)) == keys
    found = Recommendation.objects.first()
    assert found is not None
    assert (found.title, found.confidence, found.evidence) == ("two", "low", {"is": [1, None]})
    assert found.status == "open"


def test_null_in_a_json_column_is_no_json_null(account: Account) -> None:
    rows = [
        {"resource_id": "i-1", "metric": metric, "daily": daily, "p95": p95}
        for metric, daily, p95 in [("cpu", None, None), ("network", [1.5, None], 0.25)]
    ]
    SUMMARIES.write(rows, **shared(account), kind="x", window_days=14, expected=336)
    assert MetricSummary.objects.filter(daily__isnull=True).get().metric == "cpu"
    told = MetricSummary.objects.get(metric="network")
    assert (told.daily, told.p95) == ([1.5, None], 0.25)


def test_a_broken_row_leaves_none_of_its_batch(account: Account) -> None:
    rows = [an_instance(), an_instance(resource_id=None)]
    with pytest.raises(IntegrityError):
        INSTANCES.write(rows, **shared(account))
    assert not Instance.objects.exists()


def test_what_is_too_long_is_refused_and_not_cut(account: Account) -> None:
    with suppress(DatabaseError), transaction.atomic():
        INSTANCES.write([an_instance(name="x" * 256)], **shared(account))
    # SQLite knows no lengths.
    kept = [] if connection.vendor == "postgresql" else ["x" * 256]
    assert list(Instance.objects.values_list("name", flat=True)) == kept


def test_no_rows_are_no_statement(account: Account, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        INSTANCES.write([], **shared(account))
