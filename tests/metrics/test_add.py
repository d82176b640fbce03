"""Counters are rows raised in the settling transaction."""

from __future__ import annotations

import threading

import pytest
from django.db import DatabaseError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from hostmaster.core.metrics.models import Counter
from hostmaster.core.metrics.services import (
    BUCKETS,
    Increment,
    UnknownMetricError,
    add,
    canonical,
    observe,
)


def value_of(name: str, **labels: str) -> float:
    return Counter.objects.get(name=name, labels=canonical(labels)).value


def processed(kind: str = "aws", amount: float = 1.0) -> Increment:
    return Increment("jobs_processed_total", {"kind": kind}, amount)


@pytest.mark.django_db
@pytest.mark.both_databases
def test_a_series_starts_with_its_first_increment_and_then_rises() -> None:
    add(processed())
    add(processed(amount=2.5))
    assert value_of("jobs_processed_total", kind="aws") == 3.5


@pytest.mark.django_db
@pytest.mark.both_databases
def test_equal_series_in_one_call_are_summed_and_others_kept_apart() -> None:
    add(processed("aws"), processed("url"), processed("aws"))
    assert value_of("jobs_processed_total", kind="aws") == 2
    assert value_of("jobs_processed_total", kind="url") == 1


@pytest.mark.django_db
@pytest.mark.both_databases
def test_everything_is_one_statement(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_num_queries(1):
        add(processed(), *observe("job_duration_seconds", 0.7, kind="aws"))


@pytest.mark.django_db
def test_nothing_to_add_asks_nothing(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_num_queries(0):
        add()


@pytest.mark.django_db(transaction=True)
@pytest.mark.both_databases
def test_a_rolled_back_settling_counts_nothing() -> None:
    with transaction.atomic():
        add(processed())
        transaction.set_rollback(True)
    assert not Counter.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.both_databases
def test_concurrent_settlings_lose_no_increment_and_never_deadlock() -> None:
    """Each adds two series in an order of its own; unsorted, PostgreSQL deadlocks."""
    kinds = ["aws", "url"]
    errors: list[DatabaseError] = []

    def settle(order: list[str]) -> None:
        try:
            for _ in range(40):
                with transaction.atomic():
                    add(*(processed(kind) for kind in order))
        except DatabaseError as error:
            errors.append(error)
        finally:
            connection.close()

    orders = [kinds, kinds[::-1], kinds, kinds[::-1]]
    threads = [threading.Thread(target=settle, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert value_of("jobs_processed_total", kind="aws") == 160
    assert value_of("jobs_processed_total", kind="url") == 160


@pytest.mark.parametrize(
    "increment",
    [
        Increment("nobody_declares_this_total"),
        Increment("jobs_processed_total"),
        Increment("jobs_processed_total", {"kind": "aws", "lane": "scans"}),
        Increment("queue_depth", {"lane": "scans", "kind": "aws", "state": "QUEUED"}),
        Increment("job_duration_seconds", {"kind": "aws"}),
    ],
)
def test_what_no_registry_declares_is_refused(increment: Increment) -> None:
    with pytest.raises(UnknownMetricError):
        add(increment)


def test_a_counter_never_falls() -> None:
    with pytest.raises(ValueError, match="never falls"):
        add(processed(amount=-1))


@given(seconds=st.floats(min_value=0, max_value=10_000))
def test_an_observation_falls_into_the_smallest_bucket_that_holds_it(seconds: float) -> None:
    bucket, total = observe("job_duration_seconds", seconds, kind="aws")
    bound = float(bucket.labels["le"])
    assert seconds <= bound
    assert all(smaller < seconds for smaller in BUCKETS if smaller < bound)
    assert total == Increment("job_duration_seconds_sum", {"kind": "aws"}, seconds)


@given(labels=st.dictionaries(st.text(), st.text()))
def test_labels_have_one_text_whatever_their_order(labels: dict[str, str]) -> None:
    assert canonical(labels) == canonical(dict(reversed(labels.items())))
