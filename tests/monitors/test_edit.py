"""Configuration: what a monitor may be, and how its run follows."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from hostmaster.core.tenants.models import Tenant
from monitors import scheduling, services
from monitors.models import Monitor, MonitorRun, MonitorStateInterval
from tests.factories import make_tenant

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant()


def test_a_new_monitor_is_due_at_once_and_unknown(tenant: Tenant) -> None:
    monitor = services.add_monitor(tenant, name="Shop", url="https://example.com/")

    assert list(MonitorRun.objects.due().values_list("pk", flat=True)) == [monitor.pk]
    assert (monitor.status, monitor.is_scheduled) == ("unknown", True)
    assert MonitorStateInterval.objects.get(monitor=monitor).state == "unknown"


def test_plain_orm_rows_are_found(tenant: Tenant) -> None:
    monitor = Monitor.objects.create(tenant=tenant, name="Shop", url="http://example.com")

    assert scheduling.follow_enabled() == 1
    assert MonitorRun.objects.due().filter(pk=monitor.pk).exists()
    assert scheduling.follow_enabled() == 0


def test_plain_sql_rows_are_found(tenant: Tenant) -> None:
    key = tenant.pk if connection.vendor == "postgresql" else tenant.pk.hex
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO monitors (id, tenant_id, name, url) VALUES (%s, %s, %s, %s)",
            [key, key, "Shop", "http://example.com"],
        )

    assert scheduling.follow_enabled() == 1
    monitor = Monitor.objects.get()
    assert (monitor.interval_seconds, monitor.timeout_seconds, monitor.tags) == (30, 10, [])
    assert MonitorRun.objects.due().count() == 1


def test_looking_for_unscheduled_rows_uses_their_index(tenant: Tenant) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        plan = Monitor.objects.unscheduled().order_by("pk").explain()

    assert "monitors_unscheduled" in plan


@pytest.mark.parametrize("how", ["service", "orm"])
def test_a_paused_monitor_is_not_due(tenant: Tenant, how: str) -> None:
    monitor = services.add_monitor(tenant, name="Shop", url="https://example.com/")
    if how == "service":
        services.pause(monitor)
    else:
        Monitor.objects.filter(pk=monitor.pk).update(enabled=False)
        scheduling.follow_enabled()

    assert not MonitorRun.objects.due().exists()
    monitor.refresh_from_db()
    assert monitor.status == "paused"
    states = MonitorStateInterval.objects.filter(monitor=monitor).values_list("state", "ended_at")
    assert [state for state, _ in states] == ["unknown", "paused"]
    assert [ended is None for _, ended in states] == [False, True]


def test_a_resumed_monitor_is_due_and_unknown_again(tenant: Tenant) -> None:
    monitor = services.add_monitor(tenant, name="Shop", url="https://example.com/", enabled=False)
    assert monitor.status == "paused"

    services.resume(monitor)

    assert MonitorRun.objects.due().count() == 1
    assert monitor.status == "unknown"


def test_an_edit_loses_against_another(tenant: Tenant) -> None:
    monitor = services.add_monitor(tenant, name="Shop", url="https://example.com/")
    mine, other = Monitor.objects.get(pk=monitor.pk), Monitor.objects.get(pk=monitor.pk)
    services.edit_monitor(other, interval_seconds=60)

    with pytest.raises(services.MonitorChangedError):
        services.edit_monitor(mine, interval_seconds=90)

    assert Monitor.objects.get(pk=monitor.pk).interval_seconds == 60


def test_headers_are_sealed_and_open_again(tenant: Tenant) -> None:
    monitor = services.add_monitor(
        tenant, name="Shop", url="https://example.com/", headers={"Authorization": "Bearer hush"}
    )

    stored = Monitor.objects.get(pk=monitor.pk)
    assert "hush" not in (stored.headers_sealed or "")
    assert services.headers_of(stored) == {"Authorization": "Bearer hush"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "ftp://example.com"),
        ("url", "https://"),
        ("url", "https://user:secret@example.com"),
        ("url", "https://exa mple.com"),
        ("url", ""),
        ("interval_seconds", 0),
        ("timeout_seconds", 0),
        ("method", "TRACE"),
        ("expected_status", "299-200"),
        ("expected_status", "ok"),
        ("tags", "web"),
        ("tags", [""]),
        ("headers", {"a b": "c"}),
        ("headers", {"a": "c\r\nd: e"}),
        ("min_tls_version", "0.9"),
        ("retries", 21),
        ("assertions", [{"source": "mind"}]),
        ("status", "up"),
    ],
)
def test_wrong_configuration_is_refused(tenant: Tenant, field: str, value: Any) -> None:
    fields: dict[str, Any] = {"name": "Shop", "url": "https://example.com/", field: value}
    with pytest.raises(ValidationError):
        services.add_monitor(tenant, **fields)

    assert not Monitor.objects.exists()


def test_a_monitor_depends_on_its_own_tenants_only(tenant: Tenant) -> None:
    parent = services.add_monitor(tenant, name="Router", url="tcp://192.0.2.1:443", kind="tcp")
    child = services.add_monitor(
        tenant, name="Shop", url="https://example.com/", depends_on=[parent]
    )
    assert services.parents_down(child) == []
    Monitor.objects.filter(pk=parent.pk).update(status="down")
    assert services.parents_down(child) == [parent]

    with pytest.raises(ValidationError):
        services.add_monitor(
            make_tenant(), name="Theirs", url="https://example.com/", depends_on=[parent]
        )


def test_check_now_makes_a_waiting_monitor_due(tenant: Tenant) -> None:
    monitor = services.add_monitor(tenant, name="Shop", url="https://example.com/")
    MonitorRun.objects.update(next_check_at="2999-01-01T00:00:00Z")

    assert services.check_now(monitor)
    assert MonitorRun.objects.due().count() == 1


def test_check_now_leaves_a_check_under_way_alone(tenant: Tenant) -> None:
    monitor = services.add_monitor(tenant, name="Shop", url="https://example.com/")
    later = "2999-01-01T00:00:00Z"
    MonitorRun.objects.update(next_check_at=later, lease_until=later, lease_by="somebody")

    assert not services.check_now(monitor)
    assert not MonitorRun.objects.due().exists()


def test_an_interval_shortened_by_plain_sql_is_followed(tenant: Tenant) -> None:
    services.add_monitor(tenant, name="Shop", url="https://example.com/")
    MonitorRun.objects.update(next_check_at="2999-01-01T00:00:00Z")

    assert scheduling.put_off_no_longer() == 1
    assert MonitorRun.objects.due().count() == 1
