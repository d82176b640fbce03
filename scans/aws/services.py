"""Verbs on AWS accounts and scans: each checks, writes one row in one short transaction, rings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from hostmaster.core.jobs import doorbells
from hostmaster.core.tenants.models import Tenant
from scans.aws.accounts import (
    NoCredentialsHereError,
    checked_keys,
    checked_regions,
    checked_role_arn,
    seal_keys,
    source_of,
)
from scans.aws.clients import open_session
from scans.aws.errors import CredentialsRefusedError
from scans.aws.standing import check_identity, mark_connected, mark_failed
from scans.models import Account, ScanJob, ScanKind
from scans.requests import open_job

ONE_OFF_LIFETIME = timedelta(hours=1)  # waiting, three attempts and their delays fit in


def add_account(
    tenant: Tenant,
    *,
    name: str,
    role_arn: str | None = None,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    session_token: str | None = None,
    regions: Iterable[str] = (),
    is_simulated: bool = False,
) -> Account:
    """A new account, `pending` until `connect_account` proves its access.

    By role or by keys, exactly one of them. Raises `ValidationError` with the field's name.
    """
    account = Account(
        tenant=tenant,
        name=_checked_name(name),
        regions=checked_regions(regions),
        is_simulated=is_simulated,
    )
    keys = {
        "access_key_id": access_key_id,
        "secret_access_key": secret_access_key,
        "session_token": session_token,
    }
    _set_auth(account, role_arn, keys)
    try:
        with transaction.atomic():
            account.save(force_insert=True)
    except IntegrityError as error:
        raise ValidationError({"name": f"There is already an account {name!r}."}) from error
    return account


def connect_account(account: Account) -> Account:
    """Prove the account's access to AWS: `connected`, and a discovery is asked for; or `failed`,
    with AWS's reason. An account that works already keeps its status.

    Raises the AWS error when AWS could not be asked: that proves nothing, so nothing changes.
    """
    try:
        with open_session(
            source_of(account), name="connect", account_id=account.aws_account_id
        ) as session:
            identity = session.caller_identity()
        check_identity(account, identity)
    except (CredentialsRefusedError, NoCredentialsHereError) as error:
        return mark_failed(account, str(error))
    account = mark_connected(account, identity)
    request_scan(account, kind=ScanKind.DISCOVERY, requested_by="connect_account")
    return account


def request_scan(
    account: Account,
    *,
    kind: str = ScanKind.AWS,
    regions: Iterable[str] = (),
    requested_by: str = "",
    ring: bool = True,
) -> ScanJob:
    """Ask for a scan of the account. The one that is already open, if there is one.

    `ring=False` is for a caller that runs the job itself.
    """
    if kind not in {ScanKind.AWS, ScanKind.DISCOVERY}:
        raise ValidationError({"kind": f"An account's scan is aws or discovery, not {kind!r}."})
    return open_job(
        {"account": account, "kind": kind},
        ring=ring,
        regions=checked_regions(regions),
        requested_by=requested_by,
    )


def request_scan_with_credentials(
    tenant: Tenant,
    *,
    credentials: Mapping[str, str | None],
    regions: Iterable[str] = (),
    requested_by: str = "",
    ring: bool = True,
) -> ScanJob:
    """Ask for a scan with credentials of its own: `access_key_id`, `secret_access_key` and perhaps
    `session_token`. They are sealed on the job and forgotten when it ends, or after an hour."""
    job = ScanJob(
        tenant=tenant,
        kind=ScanKind.AWS,
        regions=checked_regions(regions),
        requested_by=requested_by,
        credentials_expire_at=timezone.now() + ONE_OFF_LIFETIME,
    )
    job.credentials_sealed = seal_keys(job, checked_keys(credentials))
    with transaction.atomic():
        job.save(force_insert=True)
        if ring:
            doorbells.ring_job(job)
    return job


def _set_auth(account: Account, role_arn: str | None, keys: Mapping[str, str | None]) -> None:
    if role_arn and any(keys.values()):
        raise ValidationError({"role_arn": "Give a role or an access key, not both."})
    if role_arn:
        account.role_arn = checked_role_arn(role_arn)
    elif any(keys.values()):
        account.credentials_sealed = seal_keys(account, checked_keys(keys))
    else:
        raise ValidationError({"role_arn": "Give a role (better) or an access key."})


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > 100:
        raise ValidationError({"name": "A name has 1 to 100 characters."})
    return name
