"""What a page costs does not grow with its rows."""

from __future__ import annotations

import pytest

from hostmaster.core.jobs.schedules import set_up_schedules
from scans.models import ScanUnit
from tests.admin.conftest import Cost, make_failed_scan, page_of
from tests.factories import make_instance, make_recommendation, make_resource, make_scan_job

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def fill() -> None:
    """One more row of everything, each of an account and tenant of its own."""
    make_failed_scan()
    make_scan_job()
    make_instance()
    make_resource()
    make_recommendation()


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/admin/scans/scanjob/", 7),
        ("/admin/scans/account/", 10),
        ("/admin/scans/instance/", 7),
        ("/admin/scans/resource/", 7),
        ("/admin/scans/recommendation/", 8),
        ("/admin/jobs/schedulestate/", 7),
        ("/admin/queue/", 9),
        ("/admin/", 11),
    ],
)
def test_pages_cost_the_same_for_few_rows_and_for_many(
    query_count: Cost, path: str, most: int
) -> None:
    set_up_schedules()
    fill()
    fill()
    query_count(path)  # what is asked once a process
    few = query_count(path)
    for _ in range(4):
        fill()

    assert query_count(path) == few <= most


def test_page_of_a_scan_costs_the_same_for_any_coverage(query_count: Cost) -> None:
    job = make_failed_scan()
    query_count(page_of(job))  # what is asked once a process

    def cover(count: int) -> int:
        for number in range(count):
            ScanUnit.objects.create(
                job=job,
                service="ec2",
                region=f"r-{count}-{number}",
                call="DescribeVolumes",
                outcome="ok",
                rows=1,
            )
        return query_count(page_of(job))

    assert cover(1) == cover(20)
