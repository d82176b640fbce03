"""Claim, probe, settle against a real local server."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from hostmaster.core.live.models import LiveEvent
from hostmaster.core.metrics.models import Counter
from hostmaster.core.tenants.models import Tenant
from monitors import claims, services
from monitors.models import Monitor, MonitorCheck, MonitorRollup, MonitorRun, MonitorStateInterval
from monitors.sweep import Sweep
from tests.factories import make_tenant
from tests.monitors.servers import Site

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def sweep_until_idle(sweep: Sweep, seconds: float = 15) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        sweep.step()
        if not sweep.under_way and not MonitorRun.objects.due().exists():
            return
        time.sleep(0.01)
    raise AssertionError("the sweep did not come to an end")


def make_due(monitor: Monitor) -> None:
    MonitorRun.objects.filter(pk=monitor.pk).update(next_check_at=timezone.now())


def add(tenant: Tenant, site: Site, **more: Any) -> Monitor:
    return services.add_monitor(tenant, **{"name": "Site", "url": site.url, **more})


def test_a_success_is_stored_with_its_phases_and_makes_the_monitor_up(
    tenant: Tenant, site: Site, sweep: Sweep
) -> None:
    monitor = add(tenant, site)
    sweep_until_idle(sweep)

    check = MonitorCheck.objects.get()
    assert (check.monitor_id, check.success, check.status_code) == (monitor.pk, True, 200)
    assert check.response_time_ms is not None
    assert check.ttfb_ms is not None
    assert check.created_at is not None
    assert (check.error_message, check.error_code) == (None, None)
    run = MonitorRun.objects.get()
    assert (run.state, run.lease_by, run.lease_until, run.seq) == ("up", "", None, 1)
    assert run.next_check_at is not None
    assert timedelta() < run.next_check_at - timezone.now() <= timedelta(seconds=30)
    monitor.refresh_from_db()
    assert (monitor.status, monitor.version) == ("up", 1)


def test_a_success_is_rolled_up_counted_and_told_live(
    tenant: Tenant, site: Site, sweep: Sweep
) -> None:
    monitor = add(tenant, site)
    sweep_until_idle(sweep)
    make_due(monitor)
    sweep_until_idle(sweep)

    totals = {"checks": 0, "failures": 0, "timed": 0}
    for rollup in MonitorRollup.objects.all():
        assert rollup.histogram
        for name in totals:
            totals[name] += getattr(rollup, name)
    assert totals == {"checks": 2, "failures": 0, "timed": 2}
    assert Counter.objects.get(name="monitor_checks_total").value == 2
    assert LiveEvent.objects.get().data["status"] == "up"


def test_down_is_confirmed_by_a_fast_recheck(tenant: Tenant, site: Site, sweep: Sweep) -> None:
    monitor = add(tenant, site)
    sweep_until_idle(sweep)
    site.status = 503
    make_due(monitor)
    sweep_until_idle(sweep)

    run = MonitorRun.objects.get()
    assert (run.state, run.failures) == ("up", 1)
    assert run.next_check_at is not None
    assert run.next_check_at - timezone.now() <= timedelta(seconds=12)

    make_due(monitor)
    sweep_until_idle(sweep)
    monitor.refresh_from_db()
    assert (monitor.status, MonitorRun.objects.get().failures) == ("down", 2)
    assert "503" in monitor.status_reason
    failed = MonitorCheck.objects.filter(success=False).order_by("checked_at")
    assert [check.error_code for check in failed] == ["status", "status"]
    assert monitor.status_since == failed[0].checked_at
    up, down = MonitorStateInterval.objects.exclude(state="unknown").order_by("started_at")
    assert (up.state, up.ended_at) == ("up", down.started_at)
    assert (down.state, down.started_at, down.ended_at) == ("down", failed[0].checked_at, None)


def test_a_result_that_lost_its_lease_changes_nothing(
    tenant: Tenant, site: Site, sweep: Sweep
) -> None:
    monitor = add(tenant, site)
    site.release.clear()
    sweep.step()
    assert sweep.under_way == 1
    MonitorRun.objects.update(seq=F("seq") + 1)
    site.release.set()
    sweep_until_idle(sweep)

    assert not MonitorCheck.objects.exists()
    assert not MonitorRollup.objects.exists()
    assert MonitorRun.objects.get().state == "unknown"
    monitor.refresh_from_db()
    assert monitor.status == "unknown"
    assert Counter.objects.get(name="monitor_checks_total").labels == '{"result":"dropped"}'


def test_a_result_of_an_older_configuration_changes_nothing_and_is_repeated(
    tenant: Tenant, site: Site, sweep: Sweep
) -> None:
    monitor = add(tenant, site)
    site.release.clear()
    sweep.step()
    services.edit_monitor(monitor, expected_status="404")
    assert not MonitorRun.objects.due().exists()  # not beside the one under way
    site.release.set()
    ends = time.monotonic() + 10
    while sweep.under_way and time.monotonic() < ends:
        sweep.step(claiming=False)
        time.sleep(0.01)

    assert not MonitorCheck.objects.exists()
    run = MonitorRun.objects.get()
    assert run.next_check_at is not None
    assert run.next_check_at - timezone.now() < timedelta(seconds=2)


def test_a_monitor_paused_under_way_stays_paused(tenant: Tenant, site: Site, sweep: Sweep) -> None:
    monitor = add(tenant, site)
    site.release.clear()
    sweep.step()
    services.pause(monitor)
    site.release.set()
    sweep_until_idle(sweep)

    assert not MonitorCheck.objects.exists()
    assert MonitorRun.objects.get().next_check_at is None
    monitor.refresh_from_db()
    assert monitor.status == "paused"


def test_a_monitor_resumed_while_its_old_probe_lasts_waits_for_the_lease(
    tenant: Tenant, site: Site, sweep: Sweep
) -> None:
    monitor = add(tenant, site)
    site.release.clear()
    sweep.step()
    services.pause(monitor)
    services.resume(monitor)

    assert not MonitorRun.objects.due().exists()
    site.release.set()


def test_a_deleted_monitor_spoils_no_batch(tenant: Tenant, site: Site, sweep: Sweep) -> None:
    gone, stays = add(tenant, site), add(tenant, site)
    site.release.clear()
    sweep.step()
    services.remove_monitor(gone)
    site.release.set()
    sweep_until_idle(sweep)

    assert MonitorCheck.objects.get().monitor_id == stays.pk


def test_stopping_hands_back_what_is_under_way(tenant: Tenant, site: Site, sweep: Sweep) -> None:
    add(tenant, site)
    due_at = MonitorRun.objects.get().next_check_at
    site.release.clear()
    sweep.step()
    assert not MonitorRun.objects.due().exists()

    sweep.hand_back_all()

    assert MonitorRun.objects.due().count() == 1
    (claim,) = claims.claim_due(10, "another")
    assert claim.due_at == due_at  # lateness is told in full


def test_a_host_is_probed_by_so_many_at_once(tenant: Tenant, site: Site, settings: Any) -> None:
    settings.MONITOR_HOST_CONCURRENCY = 2
    sweep = Sweep()
    for _ in range(5):
        add(tenant, site)
    site.release.clear()
    sweep.step()
    ends = time.monotonic() + 10
    while site.hits < 2 and time.monotonic() < ends:
        time.sleep(0.01)
    time.sleep(0.2)
    assert site.hits == 2

    site.release.set()
    sweep_until_idle(sweep)
    assert MonitorCheck.objects.count() == 5
    sweep.close()


def test_a_busy_tenant_leaves_slots_to_others(tenant: Tenant, site: Site, settings: Any) -> None:
    settings.MONITOR_TENANT_CONCURRENCY = 1
    sweep = Sweep()
    add(make_tenant(), site)
    for _ in range(3):
        add(tenant, site)
    site.release.clear()
    sweep.step()
    site.release.set()

    assert sweep.under_way == 2
    waiting = MonitorRun.objects.filter(lease_by="", held_back_since__isnull=False)
    assert set(waiting.values_list("tenant_id", flat=True)) == {tenant.pk}
    assert waiting.count() == 2
    sweep.close()


def test_a_tenant_alone_may_use_all_slots(tenant: Tenant, site: Site, settings: Any) -> None:
    settings.MONITOR_TENANT_CONCURRENCY = 1
    sweep = Sweep()
    for _ in range(3):
        add(tenant, site)
    site.release.clear()
    sweep.step()
    site.release.set()

    assert sweep.under_way == 3
    sweep.close()


def test_claims_never_exceed_the_free_slots(tenant: Tenant, site: Site, settings: Any) -> None:
    settings.MONITOR_CONCURRENCY = 2
    sweep = Sweep()
    for _ in range(5):
        add(tenant, site)
    site.release.clear()
    sweep.step()
    site.release.set()

    assert sweep.under_way == 2
    assert MonitorRun.objects.due().count() == 3
    sweep.close()


def test_claims_keep_to_their_number_however_few_rows_the_database_expects(
    tenant: Tenant, site: Site
) -> None:
    add(tenant, site)
    with connection.cursor() as cursor:
        for table in ("monitors", "monitor_runs"):  # "one row": a loop over all looks cheap
            cursor.execute(f"ANALYZE {table}")
    for _ in range(4):
        add(tenant, site)

    assert len(claims.claim_due(2, "a worker")) == 2
    assert MonitorRun.objects.due().count() == 3


def test_a_long_gap_without_workers_is_unknown(tenant: Tenant, site: Site, sweep: Sweep) -> None:
    monitor = add(tenant, site)
    sweep_until_idle(sweep)
    due_at = timezone.now() - timedelta(hours=1)
    MonitorRun.objects.update(next_check_at=due_at)
    MonitorStateInterval.objects.filter(state="unknown").delete()
    MonitorStateInterval.objects.update(started_at=due_at - timedelta(hours=1))
    sweep_until_idle(sweep)

    states = [
        (i.state, i.ended_at)
        for i in MonitorStateInterval.objects.filter(monitor=monitor).order_by("-started_at")[:3]
    ]
    check = MonitorCheck.objects.order_by("-checked_at")[0]
    assert states == [("up", None), ("unknown", check.checked_at), ("up", due_at)]


def test_a_configuration_only_sql_can_write_fails_with_a_sentence(
    tenant: Tenant, site: Site, sweep: Sweep
) -> None:
    monitor = add(tenant, site)
    Monitor.objects.filter(pk=monitor.pk).update(assertions=[{"source": "mind"}])
    sweep_until_idle(sweep)

    check = MonitorCheck.objects.get()
    assert (check.success, check.error_code) == (False, "invalid")
    assert "assertion" in (check.error_message or "")


def test_headers_sealed_under_a_lost_key_cost_no_other_monitor_its_check(
    tenant: Tenant, site: Site, sweep: Sweep, settings: Any
) -> None:
    broken = add(tenant, site, headers={"X-Token": "t0ken"})
    tampered = add(tenant, site)
    Monitor.objects.filter(pk=tampered.pk).update(headers_sealed="written by hand")
    well = add(tenant, site)
    settings.ENCRYPTION_KEY = "5a" * 32
    sweep_until_idle(sweep)

    messages = dict(MonitorCheck.objects.values_list("monitor_id", "error_message"))
    refusal = "Its headers do not open: enter them again."
    assert messages == {broken.pk: refusal, tampered.pk: refusal, well.pk: None}


def test_a_refused_destination_is_counted_and_fills_no_log(
    tenant: Tenant, sweep: Sweep, caplog: pytest.LogCaptureFixture
) -> None:
    monitor = services.add_monitor(tenant, name="Inside", url="http://127.0.0.1:9/")
    with caplog.at_level("INFO"):
        sweep_until_idle(sweep, 60)
    assert monitor.checks.get().error_code == "not_allowed"
    assert Counter.objects.get(name="monitor_checks_refused_total").value == 1
    assert not [line for line in caplog.messages if "127.0.0.1" in line]
