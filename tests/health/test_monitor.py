"""The monitor: transitions, confirmation, what is written down."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from hostmaster.core.health.models import ComponentState, Status, SystemLog
from hostmaster.core.health.monitor import (
    BAD,
    LEASE,
    HealthMonitor,
    Judgement,
    judge,
    run_component_health,
)
from hostmaster.core.jobs import leases
from tests.health import scripted
from tests.health.conftest import Register
from tests.health.waiting import wait_until

H, D, C = Status.HEALTHY, Status.DEGRADED, Status.CRITICAL


def after(*samples: Status) -> Judgement:
    judgement = Judgement(Status.UNKNOWN)
    for sample in samples:
        judgement = judge(judgement, sample)
    return judgement


@pytest.mark.parametrize(
    ("samples", "status"),
    [
        ([H], H),
        ([H, D], D),
        ([H, D, D], C),
        ([H, C], C),
        ([H, D, H], D),
        ([H, D, H, H], H),
        ([H, C, H], C),
        ([H, C, H, D], C),
        ([H, C, H, H], H),
        ([H, D, H, D], D),
        ([H, Status.UNKNOWN], Status.UNKNOWN),
        ([Status.NOT_CONFIGURED], Status.NOT_CONFIGURED),
        ([Status.NOT_CONFIGURED, D], D),
    ],
)
def test_a_component_moves_by_rounds(samples: list[Status], status: Status) -> None:
    assert after(*samples).status == status


@given(samples=st.lists(st.sampled_from(list(Status))))
def test_no_single_good_round_ever_mends_what_is_bad(samples: list[Status]) -> None:
    judgement = Judgement(H)
    for sample in samples:
        before, judgement = judgement, judge(judgement, sample)
        if before.status in BAD and judgement.status == H:
            assert judgement.good_rounds == 2
        if sample in BAD:
            assert judgement.status in BAD


@given(samples=st.lists(st.sampled_from([H, D, C])))
def test_critical_never_turns_into_degraded(samples: list[Status]) -> None:
    judgement = Judgement(H)
    for sample in samples:
        before, judgement = judgement, judge(judgement, sample)
        assert (before.status, judgement.status) != (C, D)


@pytest.mark.django_db
@pytest.mark.both_databases
def test_degradation_is_logged_with_what_was_known_then(components: Register) -> None:
    components(thing="check", other="check")
    scripted.play(H)
    HealthMonitor().check_once()
    scripted.play(D)
    HealthMonitor().check_once()
    entry = SystemLog.objects.get(context__component_name="thing", level="warning")
    assert entry.component == "health_monitor"
    assert entry.message == "thing: healthy → degraded. scripted: degraded"
    diagnostics = entry.context["diagnostics"]
    assert diagnostics["components"].keys() == {"thing", "other"}
    assert diagnostics["memory_available_bytes"] > 0
    assert diagnostics["host"]


@pytest.mark.django_db
@pytest.mark.both_databases
def test_each_change_is_one_entry_and_a_lasting_state_none(components: Register) -> None:
    components(thing="check")
    for status in (H, D, D, D, H, H, H):
        scripted.play(status)
        HealthMonitor().check_once()
    changes = SystemLog.objects.order_by("pk").values_list("level", "context__to_status")
    assert list(changes) == [
        ("info", "healthy"),
        ("warning", "degraded"),
        ("critical", "critical"),
        ("info", "healthy"),
    ]


@pytest.mark.django_db
def test_a_bad_sample_that_a_second_probe_does_not_confirm_changes_nothing(
    components: Register,
) -> None:
    components(thing="check")
    scripted.play(H)
    HealthMonitor().check_once()
    scripted.play(C, H)
    [state] = HealthMonitor().check_once()
    assert scripted.calls == 2
    assert state.status == H
    assert not SystemLog.objects.exclude(level="info").exists()


@pytest.mark.django_db
@pytest.mark.both_databases
def test_the_state_is_stored_with_its_figures(components: Register) -> None:
    components(thing="check")
    scripted.play(C)
    HealthMonitor().check_once()
    state = ComponentState.objects.get(pk="thing")
    assert (state.status, state.bad_rounds, state.good_rounds) == (C, 1, 0)
    assert state.message == "scripted: critical"
    assert state.detail == {"call": 2}
    assert state.checked_at is not None
    assert timezone.now() - state.checked_at < timedelta(minutes=1)


@pytest.mark.django_db
def test_since_is_kept_while_the_status_lasts(components: Register) -> None:
    components(thing="check")
    scripted.play(H)
    [first] = HealthMonitor().check_once()
    [second] = HealthMonitor().check_once()
    assert second.since == first.since
    assert first.checked_at is not None
    assert second.checked_at is not None
    assert second.checked_at > first.checked_at


@pytest.mark.django_db
def test_a_monitor_that_was_overtaken_writes_nothing(components: Register) -> None:
    """Two monitors read the same row; the second's guarded write loses, and so does its entry."""
    components(thing="check")
    scripted.play(H)
    monitor = HealthMonitor()
    monitor.check_once()
    scripted.play(D)
    overtaken = ComponentState.objects.get(pk="thing")
    monitor.check_once()
    assert not overtaken.update_guarded(status=C)
    assert SystemLog.objects.filter(level="warning").count() == 1


@pytest.mark.django_db
def test_a_component_that_is_no_longer_registered_disappears(components: Register) -> None:
    components(old="check", thing="check")
    scripted.play(H)
    HealthMonitor().check_once()
    components(thing="check")
    HealthMonitor().check_once()
    assert [state.pk for state in ComponentState.objects.all()] == ["thing"]


@pytest.mark.django_db
def test_secrets_in_a_failing_check_do_not_reach_the_log(components: Register) -> None:
    components(thing="broken")
    HealthMonitor().check_once()
    text = "".join(f"{e.message}{e.context}" for e in SystemLog.objects.all())
    text += ComponentState.objects.get(pk="thing").message
    assert "RuntimeError" in text
    assert "hunter2" not in text


@pytest.mark.django_db
def test_the_schedule_reports_how_many_components_fare_well(components: Register) -> None:
    components(thing="check", other="broken")
    scripted.play(H)
    report = run_component_health()
    assert (report.processed, report.succeeded, report.failed) == (2, 1, 1)


@pytest.mark.django_db
@pytest.mark.both_databases
def test_the_customers_query_on_the_system_log_runs(components: Register) -> None:
    components(thing="check")
    scripted.play(H)
    HealthMonitor().check_once()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT * FROM system_logs WHERE component = 'health_monitor' "
            "ORDER BY timestamp DESC LIMIT 10"
        )
        assert len(cursor.fetchall()) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.both_databases
def test_the_loop_runs_rounds_until_it_is_stopped(components: Register) -> None:
    components(thing="check")
    scripted.play(H)
    monitor = HealthMonitor(interval_seconds=0.02)
    thread = threading.Thread(target=monitor.monitor_loop)
    thread.start()
    wait_until(lambda: scripted.calls >= 3)
    monitor.stop()
    thread.join(timeout=5)
    assert not thread.is_alive()
    assert ComponentState.objects.get(pk="thing").status == H


@pytest.mark.django_db(transaction=True)
def test_the_loop_leaves_the_round_to_another_monitor_that_holds_the_lease(
    components: Register,
) -> None:
    components(thing="check")
    scripted.play(H)
    monitor = HealthMonitor(interval_seconds=0.02)
    thread = threading.Thread(target=monitor.monitor_loop)
    with leases.hold(LEASE) as held:
        assert held
        thread.start()
        time.sleep(0.3)
        assert scripted.calls == 0
    wait_until(lambda: scripted.calls >= 1)
    monitor.stop()
    thread.join(timeout=5)
