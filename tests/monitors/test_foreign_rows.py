"""Rows of `monitor_checks` that other programs wrote in forms of their own (SQLite keeps any)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from alerts import evaluation
from alerts import services as alerts
from alerts.models import Incident
from hostmaster.core.health.models import SystemLog
from hostmaster.core.jobs import retention
from hostmaster.core.registry import get_registry
from hostmaster.core.tenants.models import Tenant
from monitors import claims, foreign_rows, rollups, scheduling, services, tasks
from monitors.models import Monitor, MonitorCheck, SetAsideCheck
from tests.factories import bearer, make_staff, make_tenant, make_token

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL's columns have types"),
]

MOMENT = datetime(2026, 1, 1, 12, 30, 15, tzinfo=UTC)
EXACT = MOMENT.replace(microsecond=123456)


@pytest.fixture
def monitor(tenant: Tenant) -> Monitor:
    return services.add_monitor(tenant, name="Site", url="http://example.com")


def insert(monitor: Monitor, how: str = "INSERT", /, **values: Any) -> None:
    """As a program that knows nothing of ours."""
    row = {
        "id": str(uuid4()),
        "monitor_id": str(monitor.pk),
        "checked_at": f"{timezone.now():%Y-%m-%dT%H:%M:%SZ}",
        "success": 1,
        **values,
    }
    marks = ", ".join(["%s"] * len(row))
    statement = f"{how} INTO monitor_checks ({', '.join(row)}) VALUES ({marks})"
    with connection.cursor() as cursor:
        cursor.execute(statement, list(row.values()))


def update(column: str, value: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE monitor_checks SET {column} = %s", [value])


READABLE = {
    "2026-01-01 12:30:15": MOMENT,
    "2026-01-01T12:30:15": MOMENT,
    "2026-01-01t12:30:15z": MOMENT,
    "2026-01-01T12:30:15Z": MOMENT,
    "2026-01-01 12:30:15+00": MOMENT,
    "2026-01-01T12:30:15+00:00": MOMENT,
    "2026-01-01T14:30:15+02:00": MOMENT,
    "2026-01-01T14:30:15+0200": MOMENT,
    "2026-01-01 08:30:15-04": MOMENT,
    "2025-12-31T22:30:15-14:00": MOMENT,
    "2026-01-01 12:30:15.123456": EXACT,
    "2026-01-01T12:30:15.5Z": MOMENT.replace(microsecond=500_000),
    "2026-01-01T12:30:15.123456Z": EXACT,
    "2026-01-01T12:30:15.123456789+00:00": EXACT,
    "2026-01-01 12:30:15.123456789 +0000 UTC": EXACT,
    "2026-01-01 12:30:15    ": MOMENT,
    "2026-01-01 12:30:15.9999999": MOMENT.replace(microsecond=999999),
    "2026-01-01 12:30": MOMENT.replace(second=0),
    "2026-01-01": datetime(2026, 1, 1, tzinfo=UTC),
    "2024-02-29T00:00:00Z": datetime(2024, 2, 29, tzinfo=UTC),
}
UNREADABLE = [
    *("yesterday", "", "?", "2026-13-45 00:00:00", "2026-02-30T00:00:00Z", "2026-01-01T25:00:00"),
    *("2026-01-01T12:30:15+99:00", "2026-01-01 12:30:15.1.2", "2026-01-01 12:30:15 pm", "2026-1-1"),
    *("0000-00-00 00:00:00", "0001-01-01T00:00:00+02:00", 1767225600, 1.5, b"\xff\xfe"),
]


@pytest.mark.parametrize("column", ["checked_at", "created_at", "ssl_expires_at"])
def test_a_time_in_another_form_is_the_time_it_means(monitor: Monitor, column: str) -> None:
    for written, meant in READABLE.items():
        insert(monitor, **{column: written})
        assert getattr(MonitorCheck.objects.get(), column) == meant, written
        MonitorCheck.objects.all().delete()
        insert(monitor)
        update(column, written)
        assert getattr(MonitorCheck.objects.get(), column) == meant, written
        MonitorCheck.objects.all().delete()


@pytest.mark.parametrize("column", ["checked_at", "created_at", "ssl_expires_at"])
def test_a_time_nobody_can_read_is_set_aside(monitor: Monitor, column: str) -> None:
    for written in UNREADABLE:
        insert(monitor)
        insert(monitor, **{column: written})
        assert MonitorCheck.objects.count() == 1, written
        assert SetAsideCheck.objects.latest("pk").column_name == column
        update(column, written)
        assert not MonitorCheck.objects.exists(), written


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"success": "true"}, {"success": True}),
        ({"success": "f", "ssl_valid": "T"}, {"success": False, "ssl_valid": True}),
        ({"success": 2}, {"success": True}),
        ({"response_time_ms": 12.6}, {"response_time_ms": 13}),
        ({"response_time_ms": "12", "status_code": "200"}, {"response_time_ms": 12}),
    ],
)
def test_flags_and_numbers_in_another_form_are_read(
    monitor: Monitor, written: Mapping[str, Any], read: Mapping[str, Any]
) -> None:
    insert(monitor, **written)
    assert MonitorCheck.objects.filter(**read).exists()


@pytest.mark.parametrize(
    "written",
    [{"success": "perhaps"}, {"response_time_ms": "fast"}, {"status_code": b"OK"}, {"id": "1"}],
)
def test_other_values_nobody_can_read_are_set_aside(
    monitor: Monitor, written: Mapping[str, Any]
) -> None:
    insert(monitor, **written)
    assert not MonitorCheck.objects.exists()
    assert SetAsideCheck.objects.get().column_name == next(iter(written))


def test_keys_in_another_form_are_found(monitor: Monitor) -> None:
    key = uuid4()
    insert(monitor, id=str(key).upper(), monitor_id=str(monitor.pk).upper())
    insert(monitor, id=uuid4().bytes, monitor_id=monitor.pk.bytes)
    assert monitor.checks.count() == 2
    assert monitor.checks.filter(pk=key).exists()


def test_rows_in_many_forms_are_in_one_order(monitor: Monitor) -> None:
    today = timezone.now().replace(microsecond=0)
    forms = ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S+00:00"]
    for ago in range(9):
        insert(
            monitor,
            checked_at=(today - timedelta(seconds=ago)).strftime(forms[ago % 3]),
            response_time_ms=ago,
        )
    assert [*monitor.checks.values_list("response_time_ms", flat=True)] == [*range(9)]


def test_one_bad_row_stops_nobody(monitor: Monitor, caplog: pytest.LogCaptureFixture) -> None:
    other = services.add_monitor(make_tenant(), name="Other", url="http://example.org")
    for one in (monitor, other):
        alerts.add_rule(one.tenant, name="Down", kind="down", threshold=2)
        alerts.add_rule(one.tenant, name="Certificate", kind="ssl_expiry", threshold=30)
    bad = uuid4()
    insert(monitor, id=str(bad), checked_at="2026-13-45T00:00:00Z", success=0)
    insert(monitor, ssl_valid=1, ssl_expires_at="soon")
    for _ in range(2):
        insert(other, success=0, error_message="refused")

    with caplog.at_level(logging.WARNING):
        report = tasks.sum_up_checks()
    evaluation.evaluate_rules()

    assert (report.processed, report.failed) == (2, 2)
    assert [incident.monitor for incident in Incident.objects.all()] == [other]
    assert_all_readers_answer(monitor)
    lines = [line for line in caplog.messages if str(bad) in line]
    assert len(lines) == 1
    assert "checked_at" in lines[0]
    assert "2026-13-45T00:00:00Z" in lines[0]
    event = SystemLog.objects.get(message__contains=str(bad))
    assert (event.component, event.level) == ("monitors", "warning")
    caplog.clear()
    tasks.sum_up_checks()
    assert not caplog.messages


def assert_all_readers_answer(monitor: Monitor) -> None:
    client, headers = Client(), bearer(make_token(tenant=monitor.tenant, name="reader"))
    for path in ("", "/checks", "/figures", "/intervals", "/rollups"):
        answer = client.get(f"/api/v1/monitors/{monitor.pk}{path}", headers=headers)
        assert answer.status_code == 200, path
    client.force_login(make_staff())
    for page in ("monitorcheck/", "monitor/", f"monitor/{monitor.pk}/change/"):
        assert client.get(f"/admin/monitors/{page}").status_code == 200, page
    rollups.roll_up()
    tasks.sum_up_certificates()
    (rule,) = [r for r in get_registry().retention if r.model == "monitors.MonitorCheck"]
    assert retention.prune_one(rule) == 0


def test_a_program_that_never_gets_it_right_fills_no_log(
    monitor: Monitor, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(50):
        insert(monitor, checked_at=f"moment {number}")
    assert foreign_rows.tell_of_unreadable() == 50
    assert len(caplog.messages) == SystemLog.objects.count() == 1
    assert "and 45 more" in caplog.messages[0]
    assert foreign_rows.tell_of_unreadable() == 0


def insert_monitor(how: str = "INSERT", /, **values: Any) -> None:
    marks = ", ".join(["%s"] * len(values))
    statement = f"{how} INTO monitors ({', '.join(values)}) VALUES ({marks})"
    with connection.cursor() as cursor:
        cursor.execute(statement, list(values.values()))


@pytest.mark.parametrize("form", [str, lambda key: str(key).upper(), lambda key: key.hex])
def test_a_monitor_whose_key_is_in_another_form_is_checked_like_the_others(
    monitor: Monitor, form: Callable[[UUID], str]
) -> None:
    key, tenant = uuid4(), form(make_tenant().pk)
    made = "2026-01-01T12:30:15Z"
    insert_monitor(
        id=form(key), tenant_id=tenant, name="Raw", url="http://a.example", created_at=made
    )
    scheduling.follow_enabled()
    assert {claim.key for claim in claims.claim_due(10, "worker")} == {monitor.pk, key}
    assert Monitor.objects.get(pk=key).created_at == MOMENT
    connection.check_constraints()


def test_rows_put_in_again_unless_they_are_there_stay_one(monitor: Monitor) -> None:
    """The conflict of an outer OR IGNORE decides what a trigger's statements do, too."""
    check = {"id": str(uuid4()), "checked_at": "2026-01-01T12:30:15Z"}
    raw = {
        "id": str(uuid4()),
        "tenant_id": monitor.tenant_id.hex,
        "name": "Raw",
        "url": "http://a.b",
    }
    for _ in range(2):
        insert(monitor, "INSERT OR IGNORE", **check)
        insert_monitor("INSERT OR IGNORE", **raw)
    insert(monitor, "INSERT OR IGNORE", **{**check, "checked_at": "2026-02-30T00:00:00Z"})
    assert [row.checked_at for row in MonitorCheck.objects.all()] == [MOMENT]
    assert Monitor.objects.filter(name="Raw").count() == 1


def test_a_switch_that_is_neither_on_nor_off_holds_nobody_up(monitor: Monitor) -> None:
    for value in ("'perhaps'", "2"):
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE monitors SET enabled = {value}")
        assert scheduling.follow_enabled() <= 1
    assert monitor.name == Monitor.objects.get().name


@pytest.mark.parametrize("wrong", [{"id": "seven"}, {"created_at": "2026-02-30 00:00:00"}])
def test_a_monitor_nobody_could_read_is_refused(tenant: Tenant, wrong: dict[str, str]) -> None:
    fields = {"id": str(uuid4()), "tenant_id": str(tenant.pk), "name": "Raw", "url": "http://a.b"}
    with pytest.raises(IntegrityError, match="monitors: "), transaction.atomic():
        insert_monitor(**{**fields, **wrong})
    assert not Monitor.objects.exists()
