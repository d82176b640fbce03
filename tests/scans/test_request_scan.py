"""Asking for scans: one row, one bell, never two open ones for the same thing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ

from scans.aws.accounts import CredentialsForgottenError, source_of_job
from scans.aws.credentials import AwsCredentials
from scans.aws.discovery import AmbiguousAccountError, find_account, trigger_rediscovery
from scans.aws.schedules import forget_expired_credentials, request_due_scans
from scans.models import Account, ScanJob
from scans.services import request_scan, request_scan_with_credentials, request_url_scan
from tests.factories import make_account, make_scan_job, make_tenant

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

Commits = Callable[..., AbstractContextManager[list[Callable[[], Any]]]]

KEYS = {"access_key_id": "AKIACANARYCANARY0002", "secret_access_key": "canary/secret+0002"}


def test_a_requested_scan_waits_and_is_rung_after_the_commit(
    django_capture_on_commit_callbacks: Commits,
) -> None:
    account = make_account()
    with django_capture_on_commit_callbacks(execute=True) as bells:
        job = request_scan(account, requested_by="alice")
    assert (job.state, job.kind, job.requested_by) == ("QUEUED", "aws", "alice")
    assert len(bells) == 1
    [message] = OrmQ.objects.all()
    assert message.task["args"] == ("scans.ScanJob", str(job.pk))


def test_asking_again_while_open_answers_the_same_scan_without_another_bell(
    django_capture_on_commit_callbacks: Commits,
) -> None:
    account = make_account()
    first = request_scan(account)
    first.advance("FETCHING", lease_until=timezone.now() + timedelta(seconds=45))
    with django_capture_on_commit_callbacks() as bells:
        assert request_scan(account).pk == first.pk
    assert bells == []


def test_a_new_scan_may_follow_one_that_has_ended() -> None:
    ended = make_scan_job(state="COMPLETED")
    assert ended.account is not None
    assert request_scan(ended.account).pk != ended.pk


def test_a_caller_that_runs_the_scan_itself_rings_nobody(
    django_capture_on_commit_callbacks: Commits,
) -> None:
    with django_capture_on_commit_callbacks() as bells:
        request_scan(make_account(), ring=False)
    assert bells == []


@pytest.mark.parametrize("kind", ["url", "everything"])
def test_an_account_has_no_scan_of_another_kind(kind: str) -> None:
    with pytest.raises(ValidationError, match="aws or discovery"):
        request_scan(make_account(), kind=kind)


def test_credentials_given_with_a_scan_are_sealed_on_it_for_an_hour() -> None:
    job = request_scan_with_credentials(
        make_tenant(), credentials={**KEYS, "session_token": None}, regions=["eu-west-1"]
    )
    stored = ScanJob.objects.get(pk=job.pk)
    assert source_of_job(stored) == AwsCredentials(**KEYS)
    assert stored.credentials_expire_at is not None
    assert stored.credentials_expire_at - timezone.now() <= timedelta(hours=1)
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM scan_jobs")
        assert "canary" not in repr(cursor.fetchall()).lower()


@pytest.mark.parametrize(
    "credentials",
    [{}, {"access_key_id": "AKIACANARYCANARY0002"}, {**KEYS, "password": "canary"}],
)
def test_incomplete_or_unknown_credentials_are_refused(credentials: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as refused:
        request_scan_with_credentials(make_tenant(), credentials=credentials)
    assert "canary" not in str(refused.value)
    assert not ScanJob.objects.exists()


def test_credentials_are_forgotten_by_the_update_that_ends_the_scan() -> None:
    job = request_scan_with_credentials(make_tenant(), credentials=KEYS)
    assert job.cancel(actor="alice")
    job.refresh_from_db()
    assert job.credentials_sealed is None
    with pytest.raises(CredentialsForgottenError):
        source_of_job(job)


def test_credentials_nobody_used_in_time_are_forgotten_and_do_not_open() -> None:
    job = request_scan_with_credentials(make_tenant(), credentials=KEYS)
    fresh = request_scan_with_credentials(make_tenant(), credentials=KEYS)
    ScanJob.objects.filter(pk=job.pk).update(credentials_expire_at=timezone.now())
    job.refresh_from_db()
    with pytest.raises(CredentialsForgottenError):
        source_of_job(job)
    assert forget_expired_credentials().processed == 1
    job.refresh_from_db()
    fresh.refresh_from_db()
    assert job.credentials_sealed is None
    assert fresh.credentials_sealed


def test_a_url_is_scanned_once_at_a_time_and_by_each_tenant() -> None:
    tenant = make_tenant()
    first = request_url_scan(tenant, " https://example.com/a?b=c ")
    assert (first.kind, first.url, first.state) == ("url", "https://example.com/a?b=c", "QUEUED")
    assert request_url_scan(tenant, "https://example.com/a?b=c").pk == first.pk
    assert request_url_scan(tenant, "https://example.com/a").pk != first.pk
    assert request_url_scan(make_tenant(), "https://example.com/a?b=c").pk != first.pk


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "ftp://example.com/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http://",
        "http://[::1",
        "https://example.com/" + "a" * 8192,
    ],
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        request_url_scan(make_tenant(), url)
    assert list(refused.value.message_dict) == ["url"]


def test_rediscovery_is_asked_for_once_while_it_is_open() -> None:
    account = make_account()
    job = trigger_rediscovery(account.pk)
    assert (job.kind, job.account) == ("discovery", account)
    assert trigger_rediscovery(str(account.pk)).pk == job.pk


def test_an_account_is_found_by_key_text_and_number() -> None:
    account = make_account(aws_account_id="012345678901")
    for known_as in (account.pk, str(account.pk), account.pk.hex, "012345678901", 12345678901):
        assert find_account(known_as) == account


def test_an_unknown_or_ambiguous_number_finds_no_account() -> None:
    with pytest.raises(Account.DoesNotExist):
        find_account("999999999999")
    make_account(aws_account_id="012345678901")
    make_account(aws_account_id="012345678901")
    with pytest.raises(AmbiguousAccountError):
        find_account("012345678901")


def test_each_account_we_can_enter_is_scanned_once_a_day() -> None:
    by_role = {"role_arn": "arn:aws:iam::123456789012:role/scan", "status": "active"}
    due = make_account(**by_role)
    done_long_ago = make_account(**by_role)
    make_scan_job(
        account=done_long_ago, state="COMPLETED", created_at=timezone.now() - timedelta(hours=25)
    )
    make_scan_job(account=make_account(**by_role), state="FAILED")
    make_account(**{**by_role, "status": "failed"})
    make_account(**by_role, is_simulated=True)
    make_account(status="active")
    assert request_due_scans().processed == 2
    assert {job.account for job in ScanJob.objects.waiting()} == {due, done_long_ago}
    assert request_due_scans().processed == 0
