"""Where an account stands with AWS: the only place that moves its status."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from hostmaster.core import logs
from hostmaster.core.tenants.models import Tenant
from scans.aws.clients import CallerIdentity
from scans.aws.errors import CredentialsRefusedError
from scans.models import Account, AccountStatus

CREDENTIALS_FIELDS = ("role_arn", "external_id", "credentials_sealed")

_PATH_TO_ACTIVE = {
    AccountStatus.PENDING: (AccountStatus.CONNECTED, AccountStatus.ACTIVE),
    AccountStatus.FAILED: (AccountStatus.CONNECTED, AccountStatus.ACTIVE),
    AccountStatus.CONNECTED: (AccountStatus.ACTIVE,),
    AccountStatus.ACTIVE: (),
}


class CredentialsChangedError(Exception):
    """The account's credentials were changed while AWS was asked about the former ones: connect
    again."""


def check_identity(account: Account, identity: CallerIdentity) -> None:
    """Raises `CredentialsRefusedError` for credentials of another AWS account."""
    expected = account.aws_account_id or identity.account_id
    if identity.account_id != expected:
        raise CredentialsRefusedError(
            f"These credentials belong to AWS account {identity.account_id}, not {expected}."
        )


def account_of_number(tenant: Tenant, number: str) -> Account:
    """The tenant's account of this AWS account number, or a new one without credentials."""
    known = Account.objects.filter(tenant=tenant, aws_account_id=number).order_by("created_at")
    if (account := known.first()) is not None:
        return account
    account, _ = Account.objects.get_or_create(
        tenant=tenant, name=f"AWS {number}", defaults={"aws_account_id": number}
    )
    return account


def ensure_same_credentials(account: Account) -> None:
    """In a transaction: what AWS was asked with is still what the row has, until its end.

    Raises `CredentialsChangedError`: what AWS said is not about the row any more.
    """
    now = _locked(account)
    if any(getattr(now, name) != getattr(account, name) for name in CREDENTIALS_FIELDS):
        raise CredentialsChangedError(" ".join(str(CredentialsChangedError.__doc__).split()))


def mark_connected(account: Account, identity: CallerIdentity) -> Account:
    """Access is proved. Connected and active accounts keep their status."""
    with transaction.atomic():
        account = _locked(account)
        if not account.is_usable:
            _move(account, AccountStatus.CONNECTED, status_reason="")
        account.update_guarded(aws_account_id=identity.account_id)
    return account


def mark_scanned(account: Account, *, is_full: bool) -> Account:
    """A scan or discovery came to its end: active, and figures cached before it are over."""
    with transaction.atomic():
        account = _locked(account)
        for status in _PATH_TO_ACTIVE[AccountStatus(account.status)]:
            _move(account, status, status_reason="")
        times = {"last_scan_at": timezone.now()} if is_full else {}
        account.update_guarded(cache_generation=F("cache_generation") + 1, **times)
    return account


def renew_figures(account: Account) -> None:
    """Figures cached before are over; where the account stands does not change."""
    Account.objects.filter(pk=account.pk).update(cache_generation=F("cache_generation") + 1)


def mark_failed(account: Account, reason: str) -> Account:
    """AWS refuses us, for this reason."""
    reason = logs.mask(reason)
    with transaction.atomic():
        account = _locked(account)
        if account.status == AccountStatus.FAILED:
            account.update_guarded(status_reason=reason)
        else:
            _move(account, AccountStatus.FAILED, status_reason=reason)
    return account


def _locked(account: Account) -> Account:
    # The row lock is PostgreSQL's; on SQLite the transaction is the only writer anyway.
    return Account.objects.select_for_update().get(pk=account.pk)


def _move(account: Account, to: str, *, status_reason: str) -> None:
    before = account.status
    if account.advance(to, status_reason=status_reason):
        logs.log_transition(
            "scans.Account",
            account.pk,
            before,
            to,
            tenant=account.tenant_id,
            reason=status_reason,
        )
