"""Tables as other programs may use them: plain SQL, constraints in the database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from hostmaster.core.jobs import retention
from hostmaster.core.registry import get_registry
from hostmaster.core.tenants.models import Tenant
from monitors import services
from monitors.models import Monitor, MonitorCheck, MonitorStateInterval
from monitors.models.checks import uuid7
from monitors.storage import dialect

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def test_another_program_inserts_a_check(tenant: Tenant) -> None:
    monitor = services.add_monitor(tenant, name="Site", url="http://example.com")
    kept = dialect()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO monitor_checks (id, monitor_id, checked_at, success) "
            "VALUES (%s, %s, %s, %s)",
            [
                kept.key(uuid4()),
                kept.key(monitor.pk),
                kept.instant(timezone.now()),
                False,
            ],
        )

    check = MonitorCheck.objects.get()
    assert abs((check.created_at - timezone.now()).total_seconds()) < 60
    assert (check.success, check.status_code, check.error_code) == (False, None, None)


def test_the_smallest_monitor_has_the_documented_defaults(tenant: Tenant) -> None:
    monitor = Monitor.objects.create(tenant=tenant, name="Site", url="http://example.com")
    monitor.refresh_from_db()

    assert (monitor.kind, monitor.enabled, monitor.status) == ("http", True, "unknown")
    assert (monitor.interval_seconds, monitor.timeout_seconds) == (30, 10)
    assert (monitor.retries, monitor.min_tls_version, monitor.version) == (1, "1.2", 1)


@pytest.mark.parametrize(
    "fields",
    [
        {"url": ""},
        {"kind": "pigeon"},
        {"status": "sideways"},
        {"interval_seconds": 0},
        {"interval_seconds": 86_401},
        {"timeout_seconds": 0},
        {"successes_before_up": 0},
        {"retries": 21},
        {"min_tls_version": "3"},
        {"retry_interval_seconds": 0},
    ],
)
def test_the_database_refuses_what_must_not_be(tenant: Tenant, fields: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Monitor.objects.create(
            **{"tenant": tenant, "name": "Site", "url": "http://example.com", **fields}
        )


def test_an_external_id_is_unique_in_its_tenant(tenant: Tenant) -> None:
    for _ in range(2):
        Monitor.objects.create(tenant=tenant, name="Site", url="http://example.com")
    named = {"tenant": tenant, "name": "Site", "url": "http://example.com", "external_id": "site"}
    Monitor.objects.create(**named)
    with pytest.raises(IntegrityError), transaction.atomic():
        Monitor.objects.create(**named)


def test_a_monitor_is_in_one_state_at_a_time(tenant: Tenant) -> None:
    monitor = services.add_monitor(tenant, name="Site", url="http://example.com")
    with pytest.raises(IntegrityError), transaction.atomic():
        MonitorStateInterval.objects.create(monitor=monitor, state="up", started_at=timezone.now())


def test_ids_of_checks_are_ordered_by_time() -> None:
    first, second = uuid7(), uuid7()
    assert (first.version, first.variant) == (7, "specified in RFC 4122")
    assert first.int >> 80 <= second.int >> 80


def test_checks_are_pruned_after_two_days(tenant: Tenant) -> None:
    monitor = services.add_monitor(tenant, name="Site", url="http://example.com")
    now = timezone.now()
    for hours in (1, 47, 49):
        MonitorCheck.objects.create(
            monitor=monitor, checked_at=now - timedelta(hours=hours), success=True
        )
    (rule,) = [r for r in get_registry().retention if r.model == "monitors.MonitorCheck"]

    assert retention.prune_one(rule) == 1
    assert MonitorCheck.objects.count() == 2
