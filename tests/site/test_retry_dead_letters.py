from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from hostmaster.core.jobs.models import DurableJob, JobEvent
from scans.models import ScanJob, ScanState
from tests.factories import make_account, make_errand, make_scan_job, make_tenant

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("retry_dead_letters", *arguments, stdout=out)
    return out.getvalue()


def dead_scan(**overrides: Any) -> ScanJob:
    fields = {"state": ScanState.FAILED, "attempts": 3, "finished_at": timezone.now()}
    return make_scan_job(**{**fields, **overrides})


def dead_errand(**overrides: Any) -> DurableJob:
    return make_errand(**{"state": "failed", "finished_at": timezone.now(), **overrides})


def is_waiting(job: DurableJob) -> bool:
    job.refresh_from_db()
    return job.current_state == job.WAITING_STATE


def test_all_kinds_are_revived_and_counted() -> None:
    jobs = [dead_scan(), dead_scan(state=ScanState.TIMED_OUT), dead_errand(), dead_errand()]
    untouched = make_scan_job(state=ScanState.CANCELLED)

    answer = run()

    assert all(is_waiting(job) for job in jobs)
    assert not is_waiting(untouched)
    assert "scans.ScanJob aws: 2 revived" in answer
    assert "kernel_app.Errand note: 2 revived" in answer
    assert set(JobEvent.objects.values_list("actor", flat=True)) == {"retry_dead_letters"}


def test_nothing_there_is_no_failure() -> None:
    assert run() == "No dead letters.\n"


def test_dry_run_changes_nothing() -> None:
    job = dead_scan()

    assert "1 would be retried" in run("--dry-run")
    assert not is_waiting(job)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--kind", "aws"],
        ["--label", "scans.ScanJob"],
        ["--label", "scans.scanjob", "--kind", "aws"],
        ["--tenant", "Acme"],
        ["--since", "24"],
    ],
)
def test_choices_narrow(arguments: list[str]) -> None:
    long_ago = timezone.now() - timedelta(hours=25)
    meant = dead_scan(account=make_account(tenant=make_tenant(name="Acme")))
    other = dead_errand(finished_at=long_ago)

    run(*arguments)

    assert is_waiting(meant)
    assert not is_waiting(other)


def test_single_jobs_by_id() -> None:
    scan, errand, other = dead_scan(), dead_errand(), dead_scan()

    run("--id", str(scan.pk), "--id", str(errand.pk))

    assert is_waiting(scan)
    assert is_waiting(errand)
    assert not is_waiting(other)


def test_open_twin_stays_dead_and_is_a_failure() -> None:
    job, free = dead_scan(), dead_scan()
    make_scan_job(account=job.account)

    with pytest.raises(CommandError, match="1 is still dead") as failure:
        run()

    assert failure.value.returncode == 1
    assert is_waiting(free)
    assert not is_waiting(job)


def test_json_counts_by_kind() -> None:
    dead_scan()

    answer = json.loads(run("--json"))

    assert (answer["dry_run"], answer["dead"], answer["revived"]) == (False, 1, 1)
    assert answer["kinds"] == [
        {
            "label": "scans.ScanJob",
            "kind": "aws",
            "dead": 1,
            "revived": 1,
            "with_open_twin": 0,
            "left": 0,
        }
    ]


@pytest.mark.parametrize(
    ("arguments", "returncode"),
    [
        (["--kind", "nonsense"], 2),
        (["--label", "scans.Nothing"], 2),
        (["--tenant", "Nobody"], 2),
        (["--since", "-1"], 2),
        (["--id", "no-such-job"], 1),
    ],
)
def test_wrong_use_is_told_from_failure(arguments: list[str], returncode: int) -> None:
    with pytest.raises(CommandError) as failure:
        run(*arguments)

    assert failure.value.returncode == returncode
