"""A served site with a failed, a completed and a running scan, for a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import global_settings
from django.test import override_settings
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from hostmaster.core.health.heartbeats import beat
from hostmaster.core.health.models import ComponentState, Status
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.jobs.schedules import set_up_schedules
from scans.models import AccountStatus, ScanState, ScanUnit, UnitOutcome
from tests.admin.conftest import make_failed_scan
from tests.factories import (
    make_account,
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
    for component, status in (("database", Status.HEALTHY), ("queue", Status.DEGRADED)):
        ComponentState.objects.create(component=component, status=status, message="A sentence.")
