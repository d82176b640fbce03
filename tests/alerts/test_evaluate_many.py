"""Judging all rules costs by what is ill, not by how many monitors there are."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from alerts.evaluation import evaluate_rules
from alerts.evaluators import checks
from alerts.evaluators.types import WHOLE
from alerts.models import Incident
from hostmaster.core.tenants.models import Tenant
from monitors.models import Monitor, MonitorCheck
from tests.factories import make_check, make_checks, make_monitor, make_rule, make_tenant

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

KINDS = ("down", "slow_response", "ssl_expiry")


def watched() -> Tenant:
    """A tenant with a rule of each kind about monitors."""
    tenant = make_tenant()
    for kind in KINDS:
        make_rule(tenant=tenant, kind=kind)
    return tenant


def add_monitors(tenant: Tenant, count: int, *, success: bool = True) -> None:
    """Five checks of each, all fine, or none of them."""
    monitors = Monitor.objects.bulk_create(
        Monitor(tenant=tenant, name=f"m{n}", url="https://m.example/") for n in range(count)
    )
    now = timezone.now()
    MonitorCheck.objects.bulk_create(
        MonitorCheck(
            monitor=monitor,
            success=success,
            response_time_ms=20,
            ssl_valid=success,
            ssl_expires_at=now + timedelta(days=90),
            checked_at=now - timedelta(seconds=30 * age),
        )
        for monitor in monitors
        for age in range(5)
    )


def queries() -> int:
    with CaptureQueriesContext(connection) as captured:
        evaluate_rules()
    return len(captured)


def unresolved() -> list[str]:
    rows = Incident.objects.unresolved().order_by("alert_rule__kind")
    return list(rows.values_list("alert_rule__kind", flat=True))


def test_queries_do_not_grow_with_the_monitors() -> None:
    tenant = watched()
    add_monitors(tenant, 10)
    few = queries()
    add_monitors(tenant, 990)
    assert queries() == few


def test_queries_do_not_grow_with_what_is_down() -> None:
    tenant = watched()
    add_monitors(tenant, 2, success=False)
    evaluate_rules()
    few = queries()
    add_monitors(tenant, 90, success=False)
    evaluate_rules()
    assert Incident.objects.unresolved().count() == 184
    assert queries() == few


def test_of_monitors_that_are_well_one_row_is_read() -> None:
    tenant = watched()
    add_monitors(tenant, 50)
    ill = make_monitor(tenant=tenant)
    make_checks(ill, True, False, False, False)
    scope = checks.suspects("down", WHOLE, "NOT c.success")
    assert scope.monitor_ids == frozenset({ill.pk})
    evaluate_rules()
    assert unresolved() == ["down"]


def test_failures_behind_an_outage_of_our_own_are_judged() -> None:
    monitor = make_monitor(tenant=make_rule(threshold=2).tenant)
    make_checks(monitor, False, False)
    make_check(monitor=monitor, success=False, error_code="own_outage")
    evaluate_rules()
    assert unresolved() == ["down"]


def test_slow_answers_behind_a_failure_are_judged() -> None:
    monitor = make_monitor()
    make_rule(tenant=monitor.tenant, kind="slow_response", threshold=1000)
    make_checks(monitor, True, True, True, response_time_ms=1500)
    make_check(monitor=monitor, success=False)
    evaluate_rules()
    assert unresolved() == ["slow_response"]


@pytest.mark.parametrize("most", [0, 2, 5000])
def test_as_many_as_there_are_suspects_are_opened_and_resolved(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "MOST_SUSPECTS", most)
    tenant = watched()
    add_monitors(tenant, 3, success=False)
    evaluate_rules()
    assert unresolved() == ["down"] * 3 + ["ssl_expiry"] * 3
    for monitor in Monitor.objects.all():
        make_check(monitor=monitor, ssl_valid=True)
    evaluate_rules()
    assert unresolved() == []
