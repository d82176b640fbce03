"""Rules about certificates, costs and the product itself, from rows to incidents."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from alerts.evaluation import evaluate_rules
from alerts.models import AlertRule, Incident, Resolution
from alerts.tasks import evaluate
from hostmaster.core.health.models import ComponentState, Status
from hostmaster.core.health.services import record
from monitors.models import MonitorRun
from scans.models import BudgetBreach, CostAnomaly, ScanState
from tests.factories import (
    make_account,
    make_anomaly,
    make_breach,
    make_budget,
    make_check,
    make_monitor,
    make_rule,
    make_scan_job,
    make_tenant,
)

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def unresolved(rule: AlertRule) -> list[Incident]:
    return list(Incident.objects.unresolved().filter(alert_rule=rule).order_by("subject"))


def only(kind: str, **fields: Any) -> AlertRule:
    """A rule of a tenant that has no other."""
    rule = make_rule(kind=kind, **fields)
    AlertRule.objects.exclude(pk=rule.pk).delete()
    return rule


def test_a_slow_monitor_is_told_once_and_is_over_when_clearly_faster() -> None:
    monitor = make_monitor()
    rule = only("slow_response", tenant=monitor.tenant, threshold=1000)
    for ms in (1001, 1500, 1200):
        make_check(monitor=monitor, response_time_ms=ms)
    evaluate()
    [incident] = unresolved(rule)
    assert incident.trigger_value == "Answered in 1200 ms, 1500 ms, 1001 ms; more than 1000 ms"
    for _ in range(3):
        make_check(monitor=monitor, response_time_ms=950)
    evaluate()
    assert unresolved(rule) == [incident]
    for _ in range(3):
        make_check(monitor=monitor, response_time_ms=900)
    evaluate()
    assert unresolved(rule) == []


def test_a_certificate_of_plain_rows_is_judged_by_the_newest() -> None:
    monitor, now = make_monitor(), timezone.now()
    rule = only("ssl_expiry", tenant=monitor.tenant, threshold=14)
    make_check(monitor=monitor, ssl_valid=True, ssl_expires_at=now + timedelta(days=90))
    evaluate()
    assert unresolved(rule) == []
    make_check(monitor=monitor, ssl_valid=True, ssl_expires_at=now + timedelta(days=5, hours=1))
    for _ in range(30):
        make_check(monitor=monitor)  # without a look at the certificate
    evaluate()
    [incident] = unresolved(rule)
    assert str(incident.trigger_value).startswith("The certificate expires in 5 days")
    make_check(monitor=monitor, ssl_valid=True, ssl_expires_at=now + timedelta(days=90))
    evaluate()
    assert unresolved(rule) == []


def test_a_certificate_of_the_run_is_judged_with_its_chain() -> None:
    monitor, now = make_monitor(), timezone.now()
    rule = only("ssl_expiry", monitor=monitor)
    MonitorRun.objects.update_or_create(
        monitor=monitor,
        defaults={
            "tenant": monitor.tenant,
            "ssl_valid": True,
            "ssl_expires_at": now + timedelta(days=60),
            "certificates": [
                {"subject": "CN=a", "issuer": "CN=b", "not_after": "2030-01-01T00:00:00+00:00"},
                {
                    "subject": "CN=b",
                    "issuer": "CN=c",
                    "not_after": (now + timedelta(days=2)).isoformat(),
                },
            ],
        },
    )
    evaluate()
    [incident] = unresolved(rule)
    assert "CN=b expires in 1 day" in str(incident.trigger_value)


def test_an_invalid_certificate_matters_unless_verification_is_off() -> None:
    minds, does_not = make_monitor(), make_monitor(verify_tls=False)
    rules = [make_rule(kind="ssl_expiry", monitor=monitor) for monitor in (minds, does_not)]
    for monitor in (minds, does_not):
        make_check(monitor=monitor, ssl_valid=False, error_message="self-signed")
    evaluate()
    assert [len(unresolved(rule)) for rule in rules] == [1, 0]


@pytest.mark.parametrize(("threshold", "told"), [(None, 1), (79, 1), (80, 1), (81, 0)])
def test_a_budget_is_told_from_its_threshold_on(threshold: float | None, told: int) -> None:
    breach = make_breach(threshold=80, value_usd=85)
    rule = only("cost_budget", tenant=breach.tenant, threshold=threshold)
    evaluate()
    assert len(unresolved(rule)) == told
    BudgetBreach.objects.update(recovered_at=timezone.now())
    evaluate()
    assert unresolved(rule) == []


def test_each_threshold_of_a_budget_is_told_by_itself() -> None:
    budget = make_budget()
    rule = only("cost_budget", tenant=budget.tenant)
    for threshold in (50, 80):
        make_breach(budget=budget, threshold=threshold)
        evaluate()
    assert [i.title for i in unresolved(rule)] == [
        f"Budget {budget.name}: 50 % spent",
        f"Budget {budget.name}: 80 % spent",
    ]


def test_a_budget_rule_of_an_account_minds_that_account_only() -> None:
    account = make_account()
    rule = only("cost_budget", tenant=account.tenant, account=account)
    make_breach(budget=make_budget(tenant=account.tenant))
    mine = make_breach(budget=make_budget(tenant=account.tenant, account=account))
    make_breach()  # of another tenant
    evaluate()
    [incident] = unresolved(rule)
    assert str(mine.budget_id) in incident.subject


def test_an_anomaly_is_told_until_it_is_withdrawn_or_old() -> None:
    account, today = make_account(), timezone.now().date()
    rule = only("cost_anomaly", tenant=account.tenant, threshold=50)
    make_anomaly(account=account, date=today, excess_usd=49)
    told = make_anomaly(account=account, date=today - timedelta(days=1), excess_usd=50)
    make_anomaly(account=account, date=date(2020, 1, 1), excess_usd=5000)
    evaluate()
    [incident] = unresolved(rule)
    assert incident.subject == f"anomaly:{account.pk}:{told.date}"
    CostAnomaly.objects.update(withdrawn_at=timezone.now())
    evaluate()
    incident.refresh_from_db()
    assert incident.resolution == Resolution.RECOVERED


def test_a_day_that_was_found_late_is_news_for_some_days() -> None:
    """Cost Explorer settles a day two days later, and a scan may come a week after that."""
    now = timezone.now()
    account = make_account(created_at=now - timedelta(days=90))
    rule = only("cost_anomaly", tenant=account.tenant)
    late = make_anomaly(account=account, date=(now - timedelta(days=9)).date())
    evaluate()
    assert [i.subject for i in unresolved(rule)] == [f"anomaly:{account.pk}:{late.date}"]
    CostAnomaly.objects.update(first_seen_at=now - timedelta(days=3, minutes=1))
    evaluate()
    assert unresolved(rule) == []


def test_what_a_first_scan_finds_of_before_is_no_news() -> None:
    today = timezone.now().date()
    account = make_account()
    rule = only("cost_anomaly", tenant=account.tenant)
    make_anomaly(account=account, date=today - timedelta(days=10))
    evaluate()
    assert unresolved(rule) == []


def test_costs_take_as_many_queries_for_many_tenants() -> None:
    def add(count: int) -> None:
        for _ in range(count):
            account = make_account()
            for kind in ("cost_budget", "cost_anomaly"):
                make_rule(tenant=account.tenant, kind=kind)
            make_anomaly(account=account, date=timezone.now().date())
            make_breach(budget=make_budget(tenant=account.tenant, account=account))
        evaluate()

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            evaluate_rules()
        return len(captured)

    add(1)
    few = queries()
    add(5)
    assert Incident.objects.unresolved().count() == 12
    assert queries() == few


def test_dead_letters_are_counted_for_each_tenant_and_kind() -> None:
    job = make_scan_job(state=ScanState.FAILED, finished_at=timezone.now())
    make_scan_job(state=ScanState.COMPLETED, finished_at=timezone.now())
    rule = only("dead_letter", tenant=job.tenant, threshold=2)
    evaluate()
    assert unresolved(rule) == []
    second = make_scan_job(
        account=job.account, state=ScanState.TIMED_OUT, finished_at=timezone.now(), kind=job.kind
    )
    evaluate()
    [incident] = unresolved(rule)
    assert incident.subject == f"dead:scans.ScanJob:{job.kind}"
    assert str(incident.trigger_value).startswith("2 of the ")
    second.retry()
    evaluate()
    assert unresolved(rule) == []


def test_a_crash_is_told_and_over_when_none_followed() -> None:
    rule = only("worker_crash", tenant=make_tenant())
    record("qcluster", "warning", "Something else.", lane="scans")
    evaluate()
    assert unresolved(rule) == []
    entry = record("qcluster", "critical", "Lane scans ended.", fact="worker_crash", lane="scans")
    evaluate()
    [incident] = unresolved(rule)
    assert incident.subject == "lane:scans"
    assert incident.trigger_value == "Ended by itself once. Lane scans ended."
    entry.timestamp = timezone.now() - timedelta(minutes=16)
    entry.save()
    evaluate()
    assert unresolved(rule) == []


@pytest.mark.parametrize(
    ("level", "status", "told"),
    [
        ("critical", Status.CRITICAL, 1),
        ("critical", Status.DEGRADED, 0),
        ("degraded", Status.DEGRADED, 1),
        ("degraded", Status.CRITICAL, 1),
        ("degraded", Status.UNKNOWN, 0),
        ("degraded", Status.HEALTHY, 0),
        ("degraded", Status.NOT_CONFIGURED, 0),
    ],
)
def test_a_component_is_told_from_its_level_on(level: str, status: str, told: int) -> None:
    rule = only("component_health", tenant=make_tenant(), params={"level": level})
    ComponentState.objects.create(component="database", status=status, checked_at=timezone.now())
    evaluate()
    assert len(unresolved(rule)) == told


@pytest.mark.parametrize(
    ("status", "left"),
    [(Status.UNKNOWN, 1), (Status.DEGRADED, 1), (Status.HEALTHY, 0), (Status.NOT_CONFIGURED, 0)],
)
def test_a_component_is_well_again_only_when_it_says_so(status: str, left: int) -> None:
    rule = only("component_health", tenant=make_tenant())
    state = ComponentState.objects.create(
        component="queue", status=Status.CRITICAL, checked_at=timezone.now()
    )
    evaluate()
    assert len(unresolved(rule)) == 1
    ComponentState.objects.filter(pk=state.pk).update(status=status)
    evaluate()
    assert len(unresolved(rule)) == left
