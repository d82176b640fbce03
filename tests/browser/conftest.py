"""A served site with a failed, a completed and a running scan, for a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import global_settings
from django.test import override_settings
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from alerts.incidents import open_incidents
from alerts.models import AlertRule, DeliveryAttempt, Incident, Notification
from alerts.services import silence
from hostmaster.core.health.heartbeats import beat
from hostmaster.core.health.models import ComponentState, Status
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.jobs.schedules import set_up_schedules
from hostmaster.core.tenants.models import Tenant
from hostmaster.site.first_steps import first_watch
from monitors.models import Monitor, MonitorRun
from monitors.services import add_maintenance
from scans.models import AccountStatus, ScanState, ScanUnit, UnitOutcome
from tests.admin.conftest import make_failed_scan
from tests.factories import (
    make_account,
    make_channel,
    make_checks,
    make_instance,
    make_recommendation,
    make_resource,
    make_scan_job,
    make_staff,
)
from tests.projects import ProjectMaker
from tests.web.conftest import Site, browser, served

__all__ = ["browser", "site"]

SUMMARY = {
    "rows": {"ec2_instance": 20, "ebs_volume": 25, "elastic_ip": 5},
    "regions": 17,
    "units": {"ok": 50, "denied": 1},
    "recommendations": {
        "open": 18,
        "new": 2,
        "resolved": 1,
        "saving_low_usd": "298.00",
        "saving_high_usd": "424.26",
    },
}


@pytest.fixture(scope="session")
def site(project_maker: ProjectMaker, django_db_blocker: DjangoDbBlocker) -> Iterator[Site]:
    project = project_maker.make("sqlite")
    # The server knows Django's own hashers, not the cheap one of the tests.
    hashers = override_settings(PASSWORD_HASHERS=global_settings.PASSWORD_HASHERS)
    with django_db_blocker.unblock(), project.orm(), hashers:
        staff = make_staff(username="anna", password="right password")
        _fill()
    with served(project.environment) as url:
        yield Site(url, staff, "right password")


def _fill() -> None:
    refused = make_account(
        name="Staging",
        status=AccountStatus.FAILED,
        status_reason="AWS does not know the access key.",
    )
    make_failed_scan(account=refused)
    account = make_account(name="Production", status=AccountStatus.ACTIVE, is_simulated=True)
    now = timezone.now()
    completed = make_scan_job(
        account=account,
        state=ScanState.COMPLETED,
        started_at=now - timedelta(minutes=2),
        finished_at=now,
        summary=SUMMARY,
    )
    for region, outcome, rows in (
        ("eu-west-1", UnitOutcome.OK, 9),
        ("us-east-1", UnitOutcome.DENIED, 0),
        ("sa-east-1", UnitOutcome.OK, 0),
    ):
        ScanUnit.objects.create(
            job=completed,
            service="ec2",
            region=region,
            call="DescribeVolumes",
            outcome=outcome,
            rows=rows,
            missing_action="ec2:DescribeVolumes" if outcome == UnitOutcome.DENIED else "",
        )
    make_scan_job(
        account=account,
        state=ScanState.FETCHING,
        lease_owner="scans/1/a",
        lease_until=now + timedelta(hours=1),
        progress_done=27,
        progress_total=51,
        started_at=now,
    )
    make_instance(account=account, name="web-1", monthly_cost_usd=30, tags={"Name": "web-1"})
    make_resource(account=account, name="old-database", monthly_cost_usd=50)
    make_recommendation(account=account, title="Volume old-database is attached to nothing")
    set_up_schedules()
    beat("worker", Lane.SCANS, "scans-1")
    _fill_monitors(account.tenant)
    for component, status in (("database", Status.HEALTHY), ("queue", Status.DEGRADED)):
        ComponentState.objects.create(component=component, status=status, message="A sentence.")


def _fill_monitors(tenant: Tenant) -> None:
    """As after quickstart, with a channel that was tried: one is well, one is down."""
    watch = first_watch(tenant, "http://127.0.0.1:8000")
    well, down = watch.monitors
    now = timezone.now()
    Monitor.objects.filter(pk=well.pk).update(
        status="up", tags=["production", "eu"], status_since=now - timedelta(days=2)
    )
    reason = "Nobody answers at 127.0.0.1:9."
    Monitor.objects.filter(pk=down.pk).update(status="down", status_reason=reason)
    chain = [
        {
            "subject": "CN=status.example.com",
            "issuer": "CN=Some CA,O=Example",
            "not_after": str(now + timedelta(days=9)),
            "sans": ["status.example.com"],
        }
    ]
    MonitorRun.objects.filter(pk=well.pk).update(
        last_checked_at=now,
        last_response_ms=23,
        last_status_code=200,
        ssl_valid=True,
        ssl_expires_at=now + timedelta(days=9),
        certificates=chain,
    )
    for monitor, state in ((well, "up"), (down, "down")):
        monitor.intervals.filter(ended_at=None).delete()
        monitor.intervals.create(state=state, started_at=now - timedelta(days=2))
    make_checks(well, *[True] * 25, status_code=200, response_time_ms=23, dns_ms=1, ttfb_ms=20)
    make_checks(down, *[False] * 5, error_code="connect", error_message=reason)
    rule = AlertRule.objects.get(kind="down")
    rule.channels.set([make_channel(tenant=tenant, name="On call")])
    wanted = Incident(
        tenant=tenant,
        alert_rule=rule,
        monitor=down,
        subject=f"monitor:{down.pk}",
        title=f"{down.name} is down",
        severity=rule.severity,
        trigger_value=f"3 checks in a row failed. {reason}",
    )
    open_incidents([wanted], now)
    owed = Notification.objects.get()
    DeliveryAttempt.objects.create(
        tenant=owed.tenant,
        channel=owed.channel,
        notification=owed,
        ms=41,
        status_code=503,
        error_class="status",
        error="The receiver answered 503.",
        reply="busy",
    )
    silence(tenant, reason="Moving house", until=now + timedelta(hours=4), monitor=well)
    add_maintenance(
        tenant,
        name="Sunday night",
        starts_at=now + timedelta(days=2),
        duration=timedelta(hours=2),
        rrule="FREQ=WEEKLY",
        tags=["eu"],
    )
