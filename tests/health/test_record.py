"""The system log: what is written, and what an operator sees of it."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from hostmaster.core.health.admin import COUNTED, CappedPaginator
from hostmaster.core.health.models import ComponentState, Heartbeat, SystemLog
from hostmaster.core.health.services import record
from hostmaster.core.registry import get_registry
from tests.factories import make_staff

pytestmark = pytest.mark.django_db


@pytest.mark.both_databases
def test_an_entry_holds_what_it_was_given() -> None:
    number = uuid4()
    at = timezone.now()
    entry = record("qcluster", "critical", "Lane died.", lane="scans", code=-9, job=number, at=at)
    entry.refresh_from_db()
    assert (entry.component, entry.level, entry.message) == ("qcluster", "critical", "Lane died.")
    assert entry.context == {"lane": "scans", "code": -9, "job": str(number), "at": str(at)}


@pytest.mark.both_databases
def test_secrets_are_masked_at_every_depth() -> None:
    secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    record(
        "scans",
        "error",
        f"aws_secret_access_key={secret} refused",
        password="short",
        nested={"list": [f"Bearer {secret}", {"token": secret}]},
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT message, context FROM system_logs")
        text = str(cursor.fetchall())
    assert "refused" in text
    assert secret not in text
    assert "short" not in text


@pytest.mark.both_databases
def test_last_words_with_a_zero_byte_or_of_great_length_are_kept() -> None:
    entry = record("qcluster", "error", "core dumped\x00" + "x" * 10_000)
    entry.refresh_from_db()
    assert entry.message.startswith("core dumped\ufffdx")
    assert len(entry.message) == 4000


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="fatal"):
        record("qcluster", "fatal", "No such level.")


def test_old_entries_and_silent_heartbeats_are_pruned_by_rule() -> None:
    rules = {rule.model: rule for rule in get_registry().retention}
    assert rules["health.SystemLog"].instant == "timestamp"
    assert rules["health.Heartbeat"].keep >= timedelta(minutes=10)


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(make_staff())
    return client


@pytest.mark.both_databases
def test_the_operator_finds_an_entry_by_filter_and_search(operator: Client) -> None:
    record("qcluster", "critical", "Lane scans died.")
    record("health_monitor", "info", "database: unknown → healthy.")
    page = operator.get("/admin/health/systemlog/", {"level": "critical", "q": "scans"})
    assert page.status_code == 200
    assert "Lane scans died." in page.text
    assert "unknown → healthy" not in page.text


@pytest.mark.parametrize("model", ["systemlog", "heartbeat", "componentstate"])
def test_what_the_system_knows_is_read_only(model: str, operator: Client) -> None:
    entry = record("qcluster", "info", "Started.")
    Heartbeat.objects.create(name="beat", kind="worker", lane="scans", host="h", pid=1)
    ComponentState.objects.create(component="database")
    pk = {"systemlog": entry.pk, "heartbeat": "beat", "componentstate": "database"}[model]
    assert operator.get(f"/admin/health/{model}/").status_code == 200
    shown = operator.get(f"/admin/health/{model}/{pk}/change/")
    assert shown.status_code == 200
    assert 'name="_save"' not in shown.text
    assert operator.get(f"/admin/health/{model}/add/").status_code == 403
    assert operator.post(f"/admin/health/{model}/{pk}/change/", {}).status_code == 403
    assert operator.post(f"/admin/health/{model}/{pk}/delete/", {"post": "yes"}).status_code == 403


@pytest.mark.both_databases
def test_a_huge_log_is_not_counted_to_its_end(operator: Client) -> None:
    record("qcluster", "info", "Started.")
    with CaptureQueriesContext(connection) as queries:
        operator.get("/admin/health/systemlog/")
    counts = [q["sql"] for q in queries if "COUNT(*)" in q["sql"] and "system_logs" in q["sql"]]
    assert counts
    assert all(f"LIMIT {COUNTED + 1}" in sql for sql in counts)


def test_counting_ends_at_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hostmaster.core.health.admin.COUNTED", 2)
    for number in range(5):
        record("qcluster", "info", f"Entry {number}.")
    assert CappedPaginator(SystemLog.objects.all(), 100).count == 3
