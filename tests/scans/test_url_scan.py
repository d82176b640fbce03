"""URL scans in a release without a page fetcher."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pytest_django.fixtures import Settings

from hostmaster.core.jobs import engine
from hostmaster.core.registry import get_registry
from scans.models import ScanJob
from scans.registry import aws_cap
from scans.services import request_url_scan
from tests.factories import make_tenant


@pytest.mark.django_db(transaction=True)
@pytest.mark.both_databases
def test_a_url_scan_fails_at_once_and_says_why() -> None:
    job = request_url_scan(make_tenant(), "https://example.com/", ring=False)
    assert engine.claim(job)
    engine.execute(job)
    job = ScanJob.objects.get(pk=job.pk)
    assert (job.state, job.attempts, len(job.errors)) == ("FAILED", 1, 1)
    assert job.errors[0]["message"].startswith("This release cannot scan URLs")


def test_each_kind_of_scan_has_its_deadline() -> None:
    registry = get_registry()
    deadlines = {
        kind: registry.job_kind("scans.ScanJob", kind).deadline for kind in ScanJob.Kind.values
    }
    assert deadlines == {
        "discovery": timedelta(minutes=10),
        "aws": timedelta(minutes=30),
        "cost": timedelta(minutes=10),
        "url": timedelta(seconds=40),
    }


@pytest.mark.parametrize(("workers", "at_once"), [(1, 1), (2, 1), (5, 4)])
def test_one_worker_stays_free_of_aws_scans(settings: Settings, workers: int, at_once: int) -> None:
    settings.WORKER_CONCURRENCY = workers
    assert aws_cap() == at_once
