"""Discovery: an account's EC2 instances, so that the dashboard shows figures at once."""

from __future__ import annotations

import uuid

from django.utils import timezone

from hostmaster.core.jobs import engine
from scans.aws.accounts import endpoint_of, source_of
from scans.aws.clients import AwsSession, open_session
from scans.aws.collectors import instances
from scans.aws.services import request_scan
from scans.aws.store import InventoryStore
from scans.models import Account, ScanJob, ScanKind


class AmbiguousAccountError(ValueError):
    """Several accounts have this AWS account number: name the one you mean by its id."""


def run_initial_discovery(account_id: uuid.UUID | str | int) -> ScanJob:
    """Discover an account here and now; the job tells how it went.

    `account_id`: our key, its text, or the AWS account number. A failed attempt is tried again by
    the workers, like any job's; a discovery that already runs elsewhere is only returned.
    """
    account = find_account(account_id)
    job = request_scan(
        account, kind=ScanKind.DISCOVERY, requested_by="run_initial_discovery", ring=False
    )
    if engine.claim(job):
        engine.execute(job)
    job.refresh_from_db()
    return job


def trigger_rediscovery(account_id: uuid.UUID | str | int) -> ScanJob:
    """Ask the workers for a discovery. Asking again while it is open answers the same job."""
    return request_scan(
        find_account(account_id), kind=ScanKind.DISCOVERY, requested_by="trigger_rediscovery"
    )


def get_session_for_account(account: Account, *, name: str = "discovery") -> AwsSession:
    """A session by the account's role or keys. Close it when done.

    Raises `CredentialsRefusedError`, `NoCredentialsHereError` for an account without any, or
    `SimulatorNotRunningError`.
    """
    return open_session(
        source_of(account),
        name=name,
        account_id=account.aws_account_id,
        endpoint_url=endpoint_of(account),
    )


def scan_ec2_instances(session: AwsSession, account_id: uuid.UUID | str | int, region: str) -> int:
    """Store the EC2 instances of one region, mark gone what is no more; answers how many AWS
    listed. Raises the AWS error of a call that failed, after which nothing is marked."""
    store = InventoryStore(find_account(account_id))
    began_at = timezone.now()
    seen = 0
    for page in instances.COLLECTOR.collect(session.client("ec2", region), region):
        store.write(region, instances.COLLECTOR.kind, page)
        seen += len(page)
    store.mark_gone(region, instances.COLLECTOR.kind, unseen_since=began_at)
    return seen


def find_account(account_id: uuid.UUID | str | int) -> Account:
    """By our key, its text, or the AWS account number.

    Raises `Account.DoesNotExist` or `AmbiguousAccountError`.
    """
    key = _as_uuid(account_id)
    if key is not None:
        return Account.objects.get(pk=key)
    number = str(account_id).strip().zfill(12)  # as an integer it lost its leading zeros
    try:
        return Account.objects.get(aws_account_id=number)
    except Account.MultipleObjectsReturned as error:
        raise AmbiguousAccountError(str(AmbiguousAccountError.__doc__)) from error


def _as_uuid(value: uuid.UUID | str | int) -> uuid.UUID | None:
    if isinstance(value, uuid.UUID):
        return value
    try:
        return uuid.UUID(str(value))
    except ValueError:
        return None
