"""The pages of monitors, their checks and their maintenance windows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from monitors.models import MaintenanceWindow, Monitor, MonitorCheck, MonitorRun, MonitorStatus
from monitors.services import add_monitor, headers_of
from monitors.tokens import hash_of
from tests.admin.conftest import Cost
from tests.admin.test_jobs import messages_of, text_of
from tests.factories import (
    make_check,
    make_incident,
    make_monitor,
    make_rule,
    make_tenant,
)

pytestmark = pytest.mark.django_db

LIST = "/admin/monitors/monitor/"
WINDOWS = "/admin/monitors/maintenancewindow/"
CANARY = "Bearer canary-a1b2c3d4e5"


def page_of(monitor: Monitor, verb: str = "change") -> str:
    return f"{LIST}{monitor.pk}/{verb}/"


def form_of(**overrides: Any) -> dict[str, Any]:
    """What a browser sends of the untouched form of a new monitor."""
    form = {
        "name": "Shop",
        "kind": "http",
        "url": "https://shop.example/",
        "enabled": "on",
        "tags": "",
        "interval_seconds": "30",
        "timeout_seconds": "10",
        "retries": "1",
        "retry_interval_seconds": "10",
        "successes_before_up": "1",
        "push_grace_seconds": "30",
        "method": "GET",
        "headers": "",
        "body": "",
        "follow_redirects": "on",
        "max_redirects": "5",
        "expected_status": "200-399",
        "keyword": "",
        "assertions": "[]",
        "verify_tls": "on",
        "check_certificate": "on",
        "min_tls_version": "1.2",
        "depends_on": "",
        "external_id": "",
    }
    return {**form, **overrides}


def test_list_shows_how_each_monitor_is(operator: Client) -> None:
    monitor = make_monitor(
        name="Shop",
        url="https://shop.example/health",
        tags=["eu", "production"],
        status=MonitorStatus.DOWN,
        status_reason="The answer is 503.",
    )
    MonitorRun.objects.create(
        monitor=monitor,
        tenant=monitor.tenant,
        last_checked_at=timezone.now() - timedelta(seconds=12),
        last_response_ms=1234,
        ssl_valid=True,
        ssl_expires_at=timezone.now() + timedelta(days=40, hours=1),
    )
    make_monitor(name="New, not met by the sweep")

    text = text_of(operator.get(LIST))

    assert "Shop https://shop.example/health" in text
    assert "✗ Down The answer is 503." in text
    assert "12 s ago" in text
    assert "1,234 ms" in text
    assert "✓ 40 days" in text
    assert "eu , production" in text
    assert "New, not met by the sweep" in text


@pytest.mark.both_databases
def test_list_reads_monitors_and_runs_alone_whatever_their_number(operator: Client) -> None:
    tenant = make_tenant()

    def queries() -> list[str]:
        cache.clear()
        with CaptureQueriesContext(connection) as captured:
            assert operator.get(LIST).status_code == 200
        return [query["sql"] for query in captured]

    def add(count: int) -> None:
        for number in range(count):
            monitor = make_monitor(tenant=tenant, tags=["eu"], headers_sealed="never opened")
            MonitorRun.objects.create(monitor=monitor, tenant=tenant)
            make_check(monitor=monitor, checked_at=timezone.now() - timedelta(seconds=number))

    add(10)
    few = queries()
    add(190)
    many = queries()

    assert len(many) == len(few)
    touched = " ".join(many)
    for table in ("monitor_checks", "monitor_rollups", "monitor_state_intervals", "incidents"):
        assert table not in touched
    assert "headers_sealed" not in touched
    assert "certificates" not in touched


def test_list_is_narrowed_to_a_tag(operator: Client) -> None:
    make_monitor(name="Tagged one", tags=["a&b"])
    make_monitor(name="Other one")

    assert "?tag=a%26b" in operator.get(LIST).content.decode()
    text = text_of(operator.get(LIST, {"tag": "a&b"}))

    assert "Tagged one" in text
    assert "Other one" not in text


def test_page_shows_checks_uptime_certificates_and_incidents(operator: Client) -> None:
    monitor = make_monitor(name="Shop", status=MonitorStatus.UP)
    now = timezone.now()
    MonitorRun.objects.create(
        monitor=monitor,
        tenant=monitor.tenant,
        last_status_code=200,
        ssl_valid=False,
        ssl_reason="self_signed",
        certificates=[
            {
                "subject": "CN=shop.example",
                "issuer": "CN=shop.example",
                "not_after": "2026-12-24 00:00:00+00:00",
                "sans": ["shop.example", "www.shop.example"],
            }
        ],
    )
    monitor.intervals.create(
        state="up", started_at=now - timedelta(hours=24), ended_at=now - timedelta(hours=6)
    )
    monitor.intervals.create(state="down", started_at=now - timedelta(hours=6))
    make_check(monitor=monitor, success=False, error_message="Nobody answers.", dns_ms=3)
    make_incident(alert_rule=make_rule(monitor=monitor), monitor=monitor, title="Shop is down")

    text = text_of(operator.get(page_of(monitor)))

    assert "✗ self signed" in text
    assert "CN=shop.example" in text
    assert "shop.example, www.shop.example" in text
    assert "24 hours 74.99 %" in text or "24 hours 75 %" in text
    assert "✗ Failed" in text
    assert "Nobody answers." in text
    assert "Shop is down" in text


def test_page_of_a_monitor_nobody_checked_says_what_to_do(operator: Client) -> None:
    assert "It was not checked yet" in text_of(operator.get(page_of(make_monitor())))


@pytest.mark.both_databases
def test_monitor_is_added_by_the_form_and_its_headers_are_sealed(operator: Client) -> None:
    tenant = make_tenant()
    parent = make_monitor(tenant=tenant, name="Router")

    answer = operator.post(
        f"{LIST}add/",
        form_of(
            tenant=str(tenant.pk),
            tags="eu, production",
            headers=f"Authorization: {CANARY}\nAccept: text/html",
            depends_on="Router",
        ),
    )

    made = Monitor.objects.get(name="Shop")
    assert answer.headers["Location"] == page_of(made)
    assert headers_of(made) == {"Authorization": CANARY, "Accept": "text/html"}
    assert made.tags == ["eu", "production"]
    assert list(made.depends_on.all()) == [parent]
    assert made.is_scheduled
    for verb in ("change", "edit"):
        assert CANARY not in operator.get(page_of(made, verb)).content.decode()


def test_wrong_entries_are_marked_and_secrets_asked_again(operator: Client) -> None:
    tenant = make_tenant()
    form = form_of(
        tenant=str(tenant.pk),
        url="ftp://shop.example/",
        headers=f"Authorization: {CANARY}",
        expected_status="ok",
        depends_on="nobody",
    )

    page = operator.post(f"{LIST}add/", form)

    text = text_of(page)
    assert "There is no monitor “nobody”." in text
    page = operator.post(f"{LIST}add/", {**form, "depends_on": ""})
    text = text_of(page)
    assert "begins with http:// or https://" in text
    assert "Codes and ranges" in text
    assert CANARY not in page.content.decode()
    assert not Monitor.objects.exists()


def test_editing_keeps_headers_unless_they_are_entered_or_forgotten(operator: Client) -> None:
    monitor = add_monitor(
        make_tenant(), name="Shop", url="https://shop.example/", headers={"X-Key": CANARY}
    )

    operator.post(page_of(monitor, "edit"), form_of(version="1", name="Shop 2"))
    monitor = Monitor.objects.get()
    assert (monitor.name, monitor.version) == ("Shop 2", 2)
    assert headers_of(monitor) == {"X-Key": CANARY}

    operator.post(page_of(monitor, "edit"), form_of(version="2", forget_headers="on"))
    assert headers_of(Monitor.objects.get()) == {}


@pytest.mark.both_databases
def test_editing_what_somebody_else_changed_is_refused(operator: Client) -> None:
    monitor = add_monitor(make_tenant(), name="Shop", url="https://shop.example/")
    monitor.update_guarded(name="Changed by another")

    page = operator.post(page_of(monitor, "edit"), form_of(version="1"))

    assert "Somebody else changed this meanwhile" in text_of(page)
    assert Monitor.objects.get().name == "Changed by another"


def test_buttons_pause_resume_and_check_now(operator: Client) -> None:
    monitor = add_monitor(make_tenant(), name="Shop", url="https://shop.example/")
    MonitorRun.objects.update(next_check_at=timezone.now() + timedelta(hours=1))

    assert (
        "asked to be checked now: Shop" in messages_of(operator.post(page_of(monitor, "check")))[0]
    )
    assert MonitorRun.objects.due().exists()
    assert "1 monitor paused: Shop" in messages_of(operator.post(page_of(monitor, "pause")))[-1]
    monitor.refresh_from_db()
    assert (monitor.enabled, monitor.status) == (False, MonitorStatus.PAUSED)
    answer = operator.post(page_of(monitor, "check"))
    assert "1 paused, called by others, or being checked" in messages_of(answer)[-1]
    operator.post(page_of(monitor, "resume"))
    monitor.refresh_from_db()
    assert monitor.enabled


def test_selection_is_paused_at_once(operator: Client) -> None:
    tenant = make_tenant()
    first, second = (add_monitor(tenant, name=n, url="https://x.example/") for n in "ab")

    operator.post(LIST, {"action": "pause_selected", "_selected_action": [first.pk, second.pk]})

    assert not Monitor.objects.filter(enabled=True).exists()


def test_push_token_is_shown_once_and_the_old_one_refused(operator: Client) -> None:
    tenant = make_tenant()
    page = operator.post(
        f"{LIST}add/", form_of(tenant=str(tenant.pk), kind="push", url="", name="Backup")
    )
    monitor = Monitor.objects.get()
    first = page.context["secret"]
    assert monitor.push_token_hash == hash_of(first)
    assert f"/api/v1/heartbeats/{first}" in page.content.decode()

    assert "refused from then on" in text_of(operator.get(page_of(monitor, "push-token")))
    assert Monitor.objects.get().push_token_hash == hash_of(first)
    second = operator.post(page_of(monitor, "push-token"), {"confirmed": "yes"}).context["secret"]

    assert Monitor.objects.get().push_token_hash == hash_of(second) != hash_of(first)
    assert second not in operator.get(page_of(monitor)).content.decode()


def test_deleting_asks_first_and_leaves_the_incidents(operator: Client) -> None:
    monitor = make_monitor(name="Shop")
    make_check(monitor=monitor)
    incident = make_incident(monitor=monitor, alert_rule=make_rule(tenant=monitor.tenant))

    assert "This cannot be undone." in text_of(operator.get(page_of(monitor, "remove")))
    assert Monitor.objects.exists()
    answer = operator.post(page_of(monitor, "remove"), {"confirmed": "yes"})

    assert messages_of(answer) == ["Shop is gone."]
    assert not Monitor.objects.exists()
    assert not MonitorCheck.objects.exists()
    incident.refresh_from_db()
    assert incident.monitor is None


@pytest.mark.parametrize("verb", ["check", "pause", "resume", "edit", "push-token", "remove"])
def test_who_may_only_look_presses_no_button(looker: Client, verb: str) -> None:
    monitor = make_monitor()

    assert looker.get(LIST).status_code == 200
    assert page_of(monitor, verb) not in looker.get(page_of(monitor)).content.decode()
    assert looker.post(page_of(monitor, verb), {"confirmed": "yes"}).status_code == 403
    assert looker.get(f"{LIST}add/").status_code == 403
    assert Monitor.objects.get().version == 1


def test_checks_are_read_only_and_listed_for_one_monitor(
    operator: Client, query_count: Cost
) -> None:
    check = make_check(success=False, error_message="Nobody answers.", response_time_ms=7)
    make_check(error_message="of another monitor")
    path = "/admin/monitors/monitorcheck/"

    text = text_of(operator.get(path, {"monitor__id__exact": str(check.monitor_id)}))
    assert "Nobody answers." in text
    assert "of another monitor" not in text
    assert operator.post(f"{path}{check.pk}/change/", {"success": "on"}).status_code == 403
    assert "Nobody answers." in text_of(operator.get(f"{path}{check.pk}/change/"))
    before = query_count(path)
    for _ in range(20):
        make_check()
    assert query_count(path) == before


@pytest.mark.both_databases
def test_list_reads_what_belongs_to_a_monitor_for_its_page_alone(
    operator: Client, query_count: Cost
) -> None:
    """Joined, ten thousand runs are read before fifty monitors are shown."""
    monitor = make_monitor(name="Shop")
    MonitorRun.objects.create(monitor=monitor, tenant=monitor.tenant, last_response_ms=123)
    make_monitor(name="Just added")

    with CaptureQueriesContext(connection) as queries:
        text = text_of(operator.get(LIST))

    assert "123 ms" in text
    assert "Just added" in text
    sorted_by_name = [q["sql"] for q in queries if 'ORDER BY "monitors"."name"' in q["sql"]]
    assert len(sorted_by_name) == 1
    assert "JOIN" not in sorted_by_name[0]
    before = query_count(LIST)
    for _ in range(20):
        other = make_monitor()
        MonitorRun.objects.create(monitor=other, tenant=other.tenant)
    assert query_count(LIST) == before


@pytest.mark.both_databases
def test_window_is_entered_as_clocks_show_it_there(operator: Client) -> None:
    monitor = make_monitor(name="Shop")
    form = {
        "tenant": str(monitor.tenant.pk),
        "name": "Sunday night",
        "enabled": "on",
        "timezone": "Europe/Berlin",
        "starts_at": "2026-11-29 02:00",
        "duration_minutes": "120",
        "rrule": "FREQ=WEEKLY;BYDAY=SU",
        "monitors": "Shop",
        "tags": "eu",
    }

    answer = operator.post(f"{WINDOWS}add/", form)

    window = MaintenanceWindow.objects.get()
    assert answer.headers["Location"] == f"{WINDOWS}{window.pk}/change/"
    assert window.starts_at == datetime(2026, 11, 29, 1, 0, tzinfo=UTC)
    assert (window.duration, window.tags) == (timedelta(hours=2), ["eu"])
    assert list(window.monitors.all()) == [monitor]
    edit = operator.get(f"{WINDOWS}{window.pk}/edit/").content.decode()
    assert 'value="2026-11-29 02:00:00"' in edit
    assert "Coming times" in text_of(operator.get(f"{WINDOWS}{window.pk}/change/"))

    operator.post(
        f"{WINDOWS}{window.pk}/edit/",
        {**form, "version": "1", "starts_at": "2026-11-29 02:00:00", "enabled": ""},
    )
    window.refresh_from_db()
    assert (window.enabled, window.version) == (False, 2)
    assert window.starts_at == datetime(2026, 11, 29, 1, 0, tzinfo=UTC)
    assert "– Off" in text_of(operator.get(WINDOWS))


def test_window_without_a_monitor_or_with_a_wrong_rule_is_refused(operator: Client) -> None:
    form = {
        "tenant": str(make_tenant().pk),
        "name": "Nothing",
        "timezone": "Mars/Olympus",
        "starts_at": "2026-11-29 02:00",
        "duration_minutes": "120",
        "rrule": "FREQ=SECONDLY",
    }

    assert "There is no time zone" in text_of(operator.post(f"{WINDOWS}add/", form))
    form["timezone"] = "UTC"
    assert "cannot be used in a rule" in text_of(operator.post(f"{WINDOWS}add/", form))
    form["rrule"] = ""
    assert "A window is for monitors" in text_of(operator.post(f"{WINDOWS}add/", form))
    assert not MaintenanceWindow.objects.exists()


def test_window_that_only_sql_can_write_still_has_its_pages(operator: Client) -> None:
    window = MaintenanceWindow.objects.create(
        tenant=make_tenant(),
        name="Broken",
        is_for_all=True,
        starts_at=timezone.now() + timedelta(days=1),
        timezone="Mars/Olympus",
    )

    assert "Coming times, Mars/Olympus" in text_of(operator.get(f"{WINDOWS}{window.pk}/change/"))
    assert operator.get(f"{WINDOWS}{window.pk}/edit/").status_code == 200
    assert operator.get(WINDOWS).status_code == 200


def test_window_that_is_open_says_so_on_the_monitors_page(operator: Client) -> None:
    monitor = make_monitor(name="Shop")
    window = MaintenanceWindow.objects.create(
        tenant=monitor.tenant,
        name="Moving house",
        is_for_all=True,
        starts_at=timezone.now() - timedelta(minutes=5),
    )

    assert "Maintenance: Moving house." in text_of(operator.get(page_of(monitor)))
    assert "► Open" in text_of(operator.get(f"{WINDOWS}{window.pk}/change/"))
    operator.post(f"{WINDOWS}{window.pk}/remove/", {"confirmed": "yes"})
    assert "Maintenance: Moving house" not in text_of(operator.get(page_of(monitor)))
