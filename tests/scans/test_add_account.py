"""Adding an account: what is checked, what is sealed."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from hostmaster.core.crypto import SealBrokenError
from scans.aws.accounts import NoCredentialsHereError, open_keys, source_of
from scans.aws.credentials import AwsCredentials, RoleToAssume
from scans.models import Account
from scans.services import add_account
from tests.factories import make_account, make_tenant

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

ROLE = "arn:aws:iam::123456789012:role/hostmaster-scan"
KEYS: dict[str, Any] = {
    "access_key_id": "AKIACANARYCANARY0001",
    "secret_access_key": "canary/secret+0001",
}


def test_an_account_by_role_is_pending_and_has_an_external_id() -> None:
    account = add_account(make_tenant(), name=" prod ", role_arn=ROLE, regions=["eu-west-1"])
    assert (account.name, account.status, account.auth) == ("prod", "pending", "role")
    assert source_of(account) == RoleToAssume(ROLE, account.external_id)
    assert account.regions == ["eu-west-1"]


def test_keys_are_sealed_on_the_row_and_open_again() -> None:
    account = add_account(make_tenant(), name="prod", **KEYS, session_token="canary-token")
    stored = Account.objects.get(pk=account.pk)
    assert stored.auth == "keys"
    assert source_of(stored) == AwsCredentials(**KEYS, session_token="canary-token")


def test_no_column_holds_a_key_in_the_clear() -> None:
    add_account(make_tenant(), name="prod", **KEYS, session_token="canary-token")
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM accounts")
        text = repr(cursor.fetchall()).lower()
    assert "canary" not in text


def test_sealed_keys_moved_to_another_account_do_not_open() -> None:
    tenant = make_tenant()
    account = add_account(tenant, name="one", **KEYS)
    thief = make_account(tenant=tenant, credentials_sealed=account.credentials_sealed)
    with pytest.raises(SealBrokenError):
        open_keys(thief)


def test_an_account_without_role_and_keys_says_so_when_asked() -> None:
    with pytest.raises(NoCredentialsHereError, match="neither a role nor an access key"):
        source_of(make_account())


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": "  ", "role_arn": ROLE}, "name"),
        ({"name": "x" * 101, "role_arn": ROLE}, "name"),
        ({}, "role_arn"),
        ({"role_arn": ROLE, **KEYS}, "role_arn"),
        ({"role_arn": "arn:aws:iam::1:role/x"}, "role_arn"),
        ({"role_arn": "arn:aws:iam::123456789012:user/x"}, "role_arn"),
        ({"role_arn": ROLE + "\n"}, "role_arn"),
        ({"access_key_id": "AKIACANARYCANARY0001"}, "secret_access_key"),
        ({"secret_access_key": "canary"}, "access_key_id"),
        ({"session_token": "canary"}, "access_key_id"),
        ({"access_key_id": "a canary!", "secret_access_key": "canary"}, "access_key_id"),
        ({"role_arn": ROLE, "regions": ["Frankfurt"]}, "regions"),
    ],
)
def test_wrong_input_is_refused_by_the_name_of_its_field(
    fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        add_account(make_tenant(), **{"name": "prod", **fields})
    assert list(refused.value.message_dict) == [named]
    assert "canary" not in str(refused.value).lower()
    assert not Account.objects.exists()


def test_a_name_that_is_taken_is_refused_and_leaves_the_first_alone() -> None:
    tenant = make_tenant()
    first = add_account(tenant, name="prod", role_arn=ROLE)
    with pytest.raises(ValidationError) as refused:
        add_account(tenant, name="prod", **KEYS)
    assert list(refused.value.message_dict) == ["name"]
    assert Account.objects.get().pk == first.pk


def test_govcloud_roles_and_regions_are_known() -> None:
    account = add_account(
        make_tenant(),
        name="gov",
        role_arn="arn:aws-us-gov:iam::123456789012:role/team/scan",
        regions=["us-gov-west-1", "us-gov-west-1", "ap-southeast-3"],
    )
    assert account.regions == ["us-gov-west-1", "ap-southeast-3"]
