from __future__ import annotations

import copy
import pickle
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from hostmaster.core.tenants.models import ApiToken, Membership, Role
from hostmaster.core.tenants.services import (
    add_member,
    authenticate_token,
    create_tenant,
    create_token,
    revoke_token,
)
from tests.factories import make_tenant, make_token, make_user

pytestmark = pytest.mark.django_db


def test_token_authenticates_as_its_tenant_and_role(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    tenant = make_tenant()
    text = create_token(tenant, "CI", "operator").plain_text

    with django_assert_num_queries(1):
        found = authenticate_token(text)
        assert found is not None
        assert (found.tenant, found.role) == (tenant, Role.OPERATOR)


def test_text_has_the_published_form() -> None:
    token = make_token()
    prefix, token_id, secret = token.plain_text.split("_")

    assert (prefix, token_id) == ("hm", token.token_id)
    assert len(bytes.fromhex(secret)) == 32


def test_no_column_holds_the_secret() -> None:
    token = make_token()
    secret = token.plain_text.split("_")[2]

    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM api_tokens WHERE id = %s", [token.pk])
        row = cursor.fetchone()

    assert secret not in repr(row)


def test_plain_text_is_there_once_and_in_no_repr_pickle_or_reread_row() -> None:
    token = make_token()
    text = token.plain_text
    secret = text.split("_")[2]

    assert secret not in repr(token)
    assert secret not in str(token)
    assert secret.encode() not in pickle.dumps(token)
    assert copy.copy(token).plain_text == ""
    assert ApiToken.objects.get(pk=token.pk).plain_text == ""
    reread = authenticate_token(text)
    assert reread is not None
    assert reread.plain_text == ""


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1] + ("0" if text[-1] != "0" else "1"),
        lambda text: text[:-1],
        lambda text: text + "0",
        lambda text: text.replace("hm_", "xx_"),
        lambda text: text.upper(),
        lambda text: text.rsplit("_", 1)[0],
        lambda text: text.rsplit("_", 1)[0] + "_",
        lambda _text: "",
        lambda _text: "hm__",
        lambda _text: "hm_\x00_\x00",
        lambda _text: "hm_" + "a" * 10_000 + "_b",
        lambda text: text.replace("_", " "),
    ],
)
def test_anything_but_the_exact_text_is_refused(change: object) -> None:
    text = make_token().plain_text
    assert callable(change)

    assert authenticate_token(change(text)) is None
    assert authenticate_token(text) is not None


def test_secret_of_one_token_does_not_open_another() -> None:
    mine, other = make_token(), make_token()
    mixed = f"hm_{other.token_id}_{mine.plain_text.split('_')[2]}"

    assert authenticate_token(mixed) is None


@pytest.mark.both_databases
def test_expired_token_is_refused() -> None:
    token = make_token(expires_at=timezone.now() + timedelta(minutes=1))
    assert authenticate_token(token.plain_text) is not None

    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert authenticate_token(token.plain_text) is None
    assert not ApiToken.objects.get().is_usable()


@pytest.mark.both_databases
def test_revoked_token_is_refused_at_once_and_revoking_again_keeps_the_first_time() -> None:
    token = make_token()
    text = token.plain_text

    assert revoke_token(token)
    first = ApiToken.objects.get().revoked_at

    assert authenticate_token(text) is None
    assert not revoke_token(token)
    assert ApiToken.objects.get().revoked_at == first


def test_unknown_role_is_refused_by_the_verb_and_by_the_table() -> None:
    token = make_token()

    with pytest.raises(ValueError, match="root"):
        create_token(token.tenant, "CI", "root")
    with pytest.raises(IntegrityError):
        ApiToken.objects.update(role="root")


def test_token_needs_a_name() -> None:
    with pytest.raises(ValidationError):
        create_token(make_tenant(), "  ", Role.VIEWER)


def test_tenant_name_is_needed_and_taken_once() -> None:
    assert create_tenant(" Acme ").name == "Acme"

    with pytest.raises(ValidationError):
        create_tenant("Acme")
    with pytest.raises(ValidationError):
        create_tenant("  ")


@pytest.mark.both_databases
def test_member_is_one_row_whose_role_can_change() -> None:
    tenant, user = make_tenant(), make_user()

    add_member(tenant, user, "viewer")
    add_member(tenant, user, Role.ADMIN)

    assert Membership.objects.get().role == Role.ADMIN


@pytest.mark.parametrize(
    ("role", "needed", "allowed"),
    [
        (Role.VIEWER, Role.VIEWER, True),
        (Role.VIEWER, Role.OPERATOR, False),
        (Role.OPERATOR, Role.VIEWER, True),
        (Role.OPERATOR, Role.ADMIN, False),
        (Role.ADMIN, Role.OPERATOR, True),
    ],
)
def test_role_allows_what_stands_before_it(role: Role, needed: Role, allowed: bool) -> None:
    assert role.allows(needed) is allowed
