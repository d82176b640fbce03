"""What is no fault of an account never moves its status."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, HTTPClientError
from django.core.exceptions import ValidationError

from scans.aws import clients
from scans.aws.accounts import NoCredentialsHereError, checked_keys
from scans.aws.credentials import RoleToAssume
from scans.aws.errors import CredentialsRefusedError, OwnIdentityError, safe_message
from scans.aws.tasks import after_settle
from scans.models import AccountStatus, ScanState
from scans.services import connect_account
from tests.factories import make_account, make_scan_job

ROLE = RoleToAssume("arn:aws:iam::111122223333:role/scan", "external")
CONNECTED, ACTIVE = AccountStatus.CONNECTED, AccountStatus.ACTIVE


def refused(code: str) -> Exception:
    error = ClientError({"Error": {"Code": code, "Message": "m"}}, "AssumeRole")
    return clients._assume_refused(ROLE, error)


def test_our_own_expired_login_is_not_the_roles_refusal() -> None:
    assert isinstance(refused("ExpiredToken"), OwnIdentityError)
    assert isinstance(refused("InvalidClientTokenId"), OwnIdentityError)
    assert isinstance(refused("AccessDenied"), CredentialsRefusedError)
    assert not issubclass(OwnIdentityError, CredentialsRefusedError)


@pytest.mark.django_db
@pytest.mark.parametrize("status", [CONNECTED, ACTIVE])
def test_our_own_expired_login_fails_no_account(status: AccountStatus) -> None:
    account = make_account(status=status, role_arn=ROLE.role_arn)
    job = make_scan_job(account=account, kind="discovery", state=ScanState.FAILED)
    after_settle(job, OwnIdentityError())
    account.refresh_from_db()
    assert account.status == status


@pytest.mark.django_db
def test_connecting_a_working_account_without_credentials_changes_nothing() -> None:
    account = make_account(status=ACTIVE)
    with pytest.raises(NoCredentialsHereError):
        connect_account(account)
    account.refresh_from_db()
    assert account.status == ACTIVE


@pytest.mark.parametrize("name", ["secret_access_key", "session_token"])
def test_a_wrapped_secret_is_refused_without_being_quoted(name: str) -> None:
    keys = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "s" * 40}
    with pytest.raises(ValidationError) as refusal:
        checked_keys({**keys, name: "halfofit\notherhalf"})
    assert list(refusal.value.message_dict) == [name]
    assert "half" not in str(refusal.value)


def test_what_could_not_be_sent_is_not_quoted() -> None:
    error = HTTPClientError(error=ValueError("Invalid header value b'token\\nrest'"))
    assert "token" not in safe_message(error)
