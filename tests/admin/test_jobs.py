from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.messages import get_messages
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django import DjangoCaptureOnCommitCallbacks as Commits

from hostmaster.core.jobs.models import JobEvent
from scans.models import ScanJob, ScanState, ScanUnit, UnitOutcome
from tests.admin.conftest import make_failed_scan, page_of
from tests.factories import make_account, make_scan_job, make_staff, make_tenant

pytestmark = pytest.mark.django_db

LIST = "/admin/scans/scanjob/"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def messages_of(answer: Any) -> list[str]:
    return [re.sub(r"<[^>]+>", "", str(message)) for message in get_messages(answer.wsgi_request)]


def text_of(answer: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


@time_machine.travel(NOW, tick=False)
def test_list_tells_state_attempts_and_next_run_in_words(operator: Client) -> None:
    make_scan_job(attempts=2, run_at=NOW + timedelta(seconds=25))

    page = operator.get(LIST)

    assert "↻ Queued again" in text_of(page)
    assert "2 of 3" in text_of(page)
    assert 'title="2026-11-24 12:00:25 UTC">in 25 s</time>' in page.content.decode()


def test_page_of_a_failed_scan_shows_why(operator: Client) -> None:
    job = make_failed_scan()

    page = text_of(operator.get(page_of(job)))

    assert "✗ Failed attempt 3 of 3" in page
    assert page.count("AWS does not know the access key.") == 4  # on top, and a row an attempt
    assert "2026-11-24 10:15:30 UTC" in operator.get(page_of(job)).content.decode()


@pytest.mark.parametrize("path", ["add/", "{pk}/change/", "{pk}/delete/"])
def test_nobody_writes_rows_by_hand(operator: Client, path: str) -> None:
    job = make_failed_scan()

    answer = operator.post(LIST + path.format(pk=job.pk), {"state": "COMPLETED", "post": "yes"})

    assert answer.status_code == 403
    assert ScanJob.objects.get().state == ScanState.FAILED


@pytest.mark.both_databases
def test_retry_revives_and_says_who_did_it(operator: Client) -> None:
    job = make_failed_scan(account=make_account(name="Production"))

    answer = operator.post(page_of(job, "retry"))

    job.refresh_from_db()
    assert answer.headers["Location"] == page_of(job)
    assert (job.state, job.attempts, len(job.errors)) == (ScanState.QUEUED, 0, 3)
    assert messages_of(answer) == ["1 scan revived: AWS scan of Production."]
    event = JobEvent.objects.get(object_id=str(job.pk))
    assert (str(event), event.actor) == ("FAILED → QUEUED", "user anna")
    assert "FAILED → QUEUED user anna Retried." in text_of(operator.get(page_of(job)))


def test_retry_rings_the_workers(operator: Client, django_capture_on_commit_callbacks: Any) -> None:
    commits: Commits = django_capture_on_commit_callbacks
    job = make_failed_scan()

    with commits(execute=True):
        operator.post(page_of(job, "retry"))

    assert [row.task["args"] for row in OrmQ.objects.all()] == [("scans.ScanJob", str(job.pk))]


@pytest.mark.both_databases
def test_retry_of_a_selection_tells_the_twins_apart(operator: Client) -> None:
    free, twin = make_failed_scan(), make_failed_scan()
    make_scan_job(account=twin.account)
    done = make_failed_scan(state=ScanState.COMPLETED)
    chosen = [job.pk for job in (free, twin, done)]

    answer = operator.post(LIST, {"action": "retry_selected", "_selected_action": chosen})

    told = " ".join(messages_of(answer))
    assert told.startswith(f"1 scan revived: AWS scan of {free.account}.")
    assert f"1 had an open twin: AWS scan of {twin.account}." in told
    assert f"1 not dead: AWS scan of {done.account}." in told
    states = dict(ScanJob.objects.filter(pk__in=chosen).values_list("pk", "state"))
    assert states == {
        free.pk: ScanState.QUEUED,
        twin.pk: ScanState.FAILED,
        done.pk: ScanState.COMPLETED,
    }


def test_looking_at_a_verbs_address_does_nothing(operator: Client) -> None:
    job = make_failed_scan()

    assert operator.get(page_of(job, "retry")).status_code == 405
    assert operator.get(page_of(job, "cancel")).status_code == 200
    assert ScanJob.objects.get().state == ScanState.FAILED


def test_verb_on_a_row_that_is_not_there_is_not_found(operator: Client) -> None:
    gone = ScanJob(account=make_account())

    assert operator.post(page_of(gone, "retry")).status_code == 404


def test_cancel_asks_first_and_names_the_scan(operator: Client) -> None:
    job = make_scan_job(account=make_account(name="Production"))

    asked = operator.post(page_of(job, "cancel"))
    assert "AWS scan of Production" in text_of(asked)
    assert ScanJob.objects.get().state == ScanState.QUEUED

    answer = operator.post(page_of(job, "cancel"), {"confirmed": "yes"})
    assert ScanJob.objects.get().state == ScanState.CANCELLED
    assert messages_of(answer) == ["1 scan cancelled: AWS scan of Production."]


def test_cancel_of_a_selection_asks_first_too(operator: Client) -> None:
    job, dead = make_scan_job(), make_failed_scan()
    form = {"action": "cancel_selected", "_selected_action": [job.pk, dead.pk]}

    asked = operator.post(LIST, form)
    assert "1 open scan will end" in text_of(asked)
    assert ScanJob.objects.get(pk=job.pk).state == ScanState.QUEUED

    operator.post(LIST, {**form, "confirmed": "yes"})
    assert ScanJob.objects.get(pk=job.pk).state == ScanState.CANCELLED
    assert ScanJob.objects.get(pk=dead.pk).state == ScanState.FAILED


@pytest.mark.both_databases
def test_cancel_reaches_a_scan_whose_progress_moves_on_meanwhile() -> None:
    lease = timezone.now() + timedelta(minutes=1)
    job = make_scan_job(state=ScanState.FETCHING, lease_owner="w", lease_until=lease)
    as_its_worker_has_it = ScanJob.objects.get()
    assert as_its_worker_has_it.update_guarded(progress_done=3)

    assert job.cancel(actor="user anna")
    assert ScanJob.objects.get().state == ScanState.CANCELLED


def test_run_now_waits_no_longer(operator: Client) -> None:
    job = make_scan_job(run_at=timezone.now() + timedelta(hours=1))

    answer = operator.post(page_of(job, "run-now"))

    assert ScanJob.objects.get().run_at <= timezone.now()
    assert messages_of(answer)[0].startswith("1 scan asked to run now")


def test_onlookers_see_no_button_and_press_none(onlooker: Client) -> None:
    job = make_failed_scan()

    page = onlooker.get(page_of(job))
    assert page.status_code == 200
    assert "/retry/" not in page.content.decode()
    assert "retry_selected" not in onlooker.get(LIST).content.decode()
    assert onlooker.post(page_of(job, "retry")).status_code == 403
    onlooker.post(LIST, {"action": "retry_selected", "_selected_action": [job.pk]})
    assert ScanJob.objects.get().state == ScanState.FAILED


def test_strangers_are_sent_to_sign_in(client: Client) -> None:
    job = make_failed_scan()

    assert client.post(page_of(job, "retry")).headers["Location"].startswith("/admin/login/")
    assert ScanJob.objects.get().state == ScanState.FAILED


def test_verbs_need_the_csrf_token() -> None:
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(make_staff())
    job = make_failed_scan()

    assert careful.post(page_of(job, "retry")).status_code == 403
    assert ScanJob.objects.get().state == ScanState.FAILED


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=dead", {"failed"}),
        ("state=open", {"queued"}),
        ("state=COMPLETED", {"done"}),
        ("q=failed", {"failed"}),
        ("kind__exact=url", set()),
        ("", {"failed", "queued", "done"}),
    ],
)
def test_filters_and_search(operator: Client, query: str, found: set[str]) -> None:
    make_failed_scan(account=make_account(name="failed"))
    make_scan_job(account=make_account(name="queued"))
    make_scan_job(account=make_account(name="done"), state=ScanState.COMPLETED)

    rows = operator.get(f"{LIST}?{query}").context["cl"].result_list

    assert {job.account.name for job in rows} == found


def test_tenant_filter_and_search_by_id(operator: Client) -> None:
    job, _ = make_scan_job(), make_scan_job()

    by_tenant = operator.get(f"{LIST}?tenant__id__exact={job.tenant_id}").context["cl"].result_list
    by_id = operator.get(f"{LIST}?q={str(job.pk)[:13]}").context["cl"].result_list

    assert [found.pk for found in by_tenant] == [job.pk]
    assert [found.pk for found in by_id] == [job.pk]


def test_empty_lists_say_what_to_do_next(operator: Client) -> None:
    assert "press “Scan now”" in text_of(operator.get(LIST))
    make_tenant()
    make_scan_job()
    assert "Nothing matches. Clear all filters" in text_of(operator.get(f"{LIST}?state=CANCELLED"))


def test_coverage_names_the_missing_permission_and_folds_empty_regions(operator: Client) -> None:
    job = make_scan_job(state=ScanState.COMPLETED)
    for region, outcome, rows in (
        ("eu-west-1", UnitOutcome.OK, 7),
        ("us-east-1", UnitOutcome.DENIED, 0),
        ("sa-east-1", UnitOutcome.OK, 0),
        ("af-south-1", UnitOutcome.NOT_ENABLED, 0),
    ):
        ScanUnit.objects.create(
            job=job,
            service="ec2",
            region=region,
            call="DescribeVolumes",
            outcome=outcome,
            rows=rows,
            missing_action="ec2:DescribeVolumes" if outcome == UnitOutcome.DENIED else "",
        )

    page = text_of(operator.get(page_of(job)))

    assert "✓ 2 scanned ✗ 1 access denied – 1 not enabled" in page
    assert "us-east-1 ec2 DescribeVolumes ✗ Access denied ec2:DescribeVolumes" in page
    assert "eu-west-1 ✓ 7" in page
    assert "nothing is there: sa-east-1." in page
    assert "Not enabled in the account, so not looked at: af-south-1." in page


def test_pages_of_django_q_are_gone(operator: Client) -> None:
    for model in ("schedule", "success", "failure", "ormq"):
        assert operator.get(f"/admin/django_q/{model}/").status_code == 404
