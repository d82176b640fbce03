"""Push monitors: a call is a success, silence a failure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from hostmaster.core.tenants.models import Tenant
from monitors import services
from monitors.models import Monitor, MonitorCheck, MonitorRun
from monitors.sweep import Sweep
from tests.monitors.test_sweep import sweep_until_idle

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def monitor(tenant: Tenant) -> Monitor:
    return services.add_monitor(
        tenant, name="Backup", kind="push", interval_seconds=60, push_grace_seconds=30
    )


def wait_seconds() -> float:
    due_at = MonitorRun.objects.get().next_check_at
    assert due_at is not None
    return (due_at - timezone.now()).total_seconds()


def test_it_has_its_interval_and_grace_for_the_first_call(monitor: Monitor) -> None:
    assert 85 < wait_seconds() <= 90
    assert monitor.status == "unknown"


def test_a_call_makes_it_up_and_awaits_the_next(monitor: Monitor) -> None:
    MonitorRun.objects.update(next_check_at=timezone.now() + timedelta(seconds=1))

    called = services.record_push(monitor.push_token)

    assert (called.pk, called.status) == (monitor.pk, "up")
    assert MonitorCheck.objects.get().success
    assert 85 < wait_seconds() <= 90


def test_silence_makes_it_down_at_once_and_a_call_up_again(monitor: Monitor, sweep: Sweep) -> None:
    services.record_push(monitor.push_token)
    MonitorRun.objects.update(next_check_at=timezone.now())
    sweep_until_idle(sweep)

    monitor.refresh_from_db()
    check = MonitorCheck.objects.get(success=False)
    assert (monitor.status, check.error_code) == ("down", "overdue")
    assert 55 < wait_seconds() <= 60

    assert services.record_push(monitor.push_token).status == "up"


def test_only_the_hash_of_the_token_is_kept(monitor: Monitor) -> None:
    stored = Monitor.objects.get()
    assert stored.push_token == ""
    assert monitor.push_token not in str(Monitor.objects.values().get())


@pytest.mark.parametrize("token", ["", "guess"])
def test_an_unknown_token_is_refused(monitor: Monitor, token: str) -> None:
    with pytest.raises(services.UnknownPushTokenError):
        services.record_push(token)


def test_a_renewed_token_replaces_the_old(monitor: Monitor) -> None:
    old = monitor.push_token
    new = services.renew_push_token(monitor)

    with pytest.raises(services.UnknownPushTokenError):
        services.record_push(old)
    services.record_push(new)


def test_a_paused_one_takes_no_calls(monitor: Monitor) -> None:
    token = monitor.push_token
    services.pause(monitor)
    with pytest.raises(services.UnknownPushTokenError):
        services.record_push(token)


def test_a_call_counts_though_the_monitor_is_edited_meanwhile(monitor: Monitor) -> None:
    """Once the token was looked up, before the run is locked."""
    edits: list[Monitor] = []

    def edit_after_lookup(
        execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        found = execute(sql, params, many, context)
        if "push_token_hash" in sql and not edits:
            edits.append(monitor)
            services.edit_monitor(Monitor.objects.get(pk=monitor.pk), name="Nightly backup")
        return found

    with connection.execute_wrapper(edit_after_lookup):
        called = services.record_push(monitor.push_token)

    assert edits
    assert (called.name, called.status) == ("Nightly backup", "up")
    assert 85 < wait_seconds() <= 90
