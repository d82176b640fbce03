"""Verbs on AWS accounts and scans: each checks, writes one row in one short transaction, rings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from hostmaster.core.jobs import doorbells
from hostmaster.core.tenants.models import Tenant
from scans.aws import shell
from scans.aws.accounts import (
    NoCredentialsHereError,
    checked_keys,
    checked_regions,
    checked_role_arn,
    seal_keys,
)
from scans.aws.errors import CredentialsRefusedError
from scans.aws.onboarding import prove_access
from scans.aws.standing import (
    account_of_number,
    ensure_same_credentials,
    mark_connected,
    mark_failed,
)
from scans.models import Account, ScanJob, ScanKind
from scans.requests import open_job

ONE_OFF_LIFETIME = timedelta(hours=1)  # waiting, three attempts and their delays fit in


class AccountBusyError(Exception):
    """A scan of this account is open: wait for its end, or cancel it."""


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
    for field, value in _auth_fields(account, role_arn, keys).items():
        setattr(account, field, value)
    try:
        with transaction.atomic():
            account.save(force_insert=True)
    except IntegrityError as error:
        raise _name_is_taken(name) from error
    return account


def edit_account(
    account: Account,
    *,
    name: str | None = None,
    regions: Iterable[str] | None = None,
    role_arn: str | None = None,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    session_token: str | None = None,
) -> bool:
    """Change what is given; a role replaces keys and keys a role. `False`: somebody else changed
    the account since it was read. Raises `ValidationError` with the field's name.

    The status stays until `connect_account` or a scan proves the new credentials.
    """
    fields: dict[str, object] = {}
    if name is not None:
        fields["name"] = _checked_name(name)
    if regions is not None:
        fields["regions"] = checked_regions(regions)
    keys = {
        "access_key_id": access_key_id,
        "secret_access_key": secret_access_key,
        "session_token": session_token,
    }
    if role_arn or any(keys.values()):
        fields |= _auth_fields(account, role_arn, keys)
        fields |= {"trust_warning": "", "permissions": []}  # of the former ones
    try:
        with transaction.atomic():
            return account.update_guarded(**fields)
    except IntegrityError as error:
        raise _name_is_taken(str(name)) from error


def delete_account(account: Account) -> None:
    """Forget an account and everything found in it.

    Raises `AccountBusyError` while a scan of it is open.
    """
    with transaction.atomic():
        # Locked, so that no scan is opened meanwhile: its row would refer to this one.
        Account.objects.select_for_update().get(pk=account.pk)
        if ScanJob.objects.open().filter(account=account).exists():
            raise AccountBusyError(str(AccountBusyError.__doc__))
        account.delete()


def connect_account(account: Account) -> Account:
    """Prove the account's access to AWS: `connected`, and a discovery is asked for; or `failed`,
    with AWS's reason. An account that works already keeps its status. What is unsafe about its
    role and which permissions are missing is kept with it.

    Raises the AWS error when AWS could not be asked, `OwnIdentityError`,
    `SimulatorNotRunningError`, `CredentialsChangedError` when they were replaced meanwhile, and
    `NoCredentialsHereError` for an account that works without any: that proves nothing, so nothing
    changes.
    """
    try:
        proof = prove_access(account)
    except NoCredentialsHereError as error:
        if account.is_usable:
            raise  # AWS was not asked, and by other ways the account works
        return _refused(account, error)
    except CredentialsRefusedError as error:
        return _refused(account, error)
    with transaction.atomic():
        ensure_same_credentials(account)
        account = mark_connected(account, proof.identity)
        account.update_guarded(trust_warning=proof.trust_warning, permissions=proof.as_rows())
        request_scan(account, kind=ScanKind.DISCOVERY, requested_by="connect_account")
    return account


def _refused(account: Account, error: Exception) -> Account:
    with transaction.atomic():
        ensure_same_credentials(account)
        return mark_failed(account, str(error))


def request_scan(
    account: Account,
    *,
    kind: str = ScanKind.AWS,
    regions: Iterable[str] = (),
    requested_by: str = "",
    ring: bool = True,
    claim: bool = False,
) -> ScanJob:
    """Ask for a scan of the account. The one that is already open, if there is one.

    `claim`: a new one is the caller's to run (`engine.execute`); no worker ever sees it waiting.
    `ring=False` leaves it to the sweep, or to a caller that claims it.
    """
    if kind not in {ScanKind.AWS, ScanKind.DISCOVERY}:
        raise ValidationError({"kind": f"An account's scan is aws or discovery, not {kind!r}."})
    return open_job(
        {"account": account, "kind": kind},
        ring=ring,
        claim=claim,
        regions=checked_regions(regions),
        requested_by=requested_by,
    )


def request_scan_by_shell(
    tenant: Tenant, *, regions: Iterable[str] = (), requested_by: str = ""
) -> ScanJob:
    """A scan of the account this shell is logged in to, claimed by this process, which alone can
    run it (within `shell.lent_shell_login`). The account's open scan, if there is one.

    The account row is the tenant's of that number, or a new one without credentials. Raises
    `CredentialsRefusedError`, or AWS's error when AWS could not be asked.
    """
    regions = checked_regions(regions)
    account = account_of_number(tenant, shell.shell_identity().account_id)
    return open_job(
        {"account": account, "kind": ScanKind.AWS},
        claim=True,
        regions=regions,
        requested_by=requested_by,
        uses_shell_login=True,
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


def _auth_fields(
    account: Account, role_arn: str | None, keys: Mapping[str, str | None]
) -> dict[str, object]:
    if role_arn and any(keys.values()):
        raise ValidationError({"role_arn": "Give a role or an access key, not both."})
    if role_arn:
        return {"role_arn": checked_role_arn(role_arn), "credentials_sealed": None}
    if any(keys.values()):
        sealed = seal_keys(account, checked_keys(keys))
        return {"role_arn": "", "credentials_sealed": sealed}
    raise ValidationError({"role_arn": "Give a role (better) or an access key."})


def _name_is_taken(name: str) -> ValidationError:
    return ValidationError({"name": f"There is already an account {name!r}."})


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > 100:
        raise ValidationError({"name": "A name has 1 to 100 characters."})
    return name
