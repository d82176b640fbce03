"""Who looks at the admin, and how a failed scan comes to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from scans.models import ScanJob, ScanState
from tests.alerts.conftest import loopback_allowed, receiver
from tests.factories import make_scan_job, make_staff

__all__ = ["loopback_allowed", "receiver"]

Cost = Callable[[str], int]


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(make_staff(username="anna"))
    return client


@pytest.fixture
def onlooker(client: Client) -> Client:
    """Staff who may look at scans and change nothing."""
    staff = make_staff(is_superuser=False)
    staff.user_permissions.set(
        Permission.objects.filter(content_type__app_label="scans", codename__startswith="view_")
    )
    client.force_login(staff)
    return client


@pytest.fixture
def looker(client: Client) -> Client:
    """Staff who may look at everything and change nothing."""
    staff = make_staff(is_superuser=False)
    staff.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(staff)
    return client


@pytest.fixture
def query_count(operator: Client) -> Cost:
    def count(path: str) -> int:
        cache.clear()  # the dearest case
        with CaptureQueriesContext(connection) as queries:
            assert operator.get(path).status_code == 200
        return len(queries)

    return count


def make_failed_scan(**overrides: Any) -> ScanJob:
    """Tried three times, and dead."""
    error = {
        "at": "2026-11-24T10:15:30+00:00",
        "type": "CredentialsRefusedError",
        "message": "AWS does not know the access key.",
        "retryable": True,
    }
    fields = {
        "state": ScanState.FAILED,
        "attempts": 3,
        "errors": [{**error, "attempt": number} for number in (1, 2, 3)],
        "started_at": timezone.now(),
        "finished_at": timezone.now(),
    }
    return make_scan_job(**{**fields, **overrides})


def page_of(job: ScanJob, verb: str = "change") -> str:
    return f"/admin/scans/scanjob/{job.pk}/{verb}/"
