from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from hostmaster.core.tenants.models import ApiToken, Role
from hostmaster.core.tenants.services import (
    TenantChoiceError,
    authenticate_token,
    default_tenant,
)
from tests.factories import make_tenant

pytestmark = pytest.mark.django_db


def run(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command("create_token", *arguments, stdout=out, stderr=StringIO(), **options)
    return out.getvalue().strip()


def test_stdout_is_the_token_and_nothing_else() -> None:
    tenant = make_tenant()

    token = authenticate_token(run("CI"))

    assert token is not None
    assert (token.tenant, token.name, token.role) == (tenant, "CI", Role.VIEWER)


def test_json_names_what_was_made() -> None:
    make_tenant(name="Acme")

    answer = json.loads(run("CI", "--role", "admin", "--expires-days", "30", "--json"))

    assert authenticate_token(answer.pop("token")) == ApiToken.objects.get()
    expires_at = ApiToken.objects.get().expires_at
    assert expires_at is not None
    assert answer == {
        "name": "CI",
        "tenant": "Acme",
        "role": "admin",
        "expires_at": expires_at.isoformat(),
    }
    assert abs(expires_at - timezone.now() - timedelta(days=30)) < timedelta(minutes=1)


def test_tenant_is_chosen_by_name_or_id() -> None:
    make_tenant()
    second = make_tenant(name="Second")

    assert authenticate_token(run("CI", "--tenant", "Second")).tenant == second  # type: ignore[union-attr] # None fails too
    assert default_tenant(str(second.pk)) == second


def test_several_tenants_need_a_choice_whose_error_names_them() -> None:
    make_tenant(name="Acme")
    make_tenant(name="Zeta")

    with pytest.raises(CommandError, match="'Acme', 'Zeta'") as caught:
        run("CI")

    assert caught.value.returncode == 2
    assert not ApiToken.objects.exists()


def test_unknown_tenant_and_no_tenant_say_what_to_do() -> None:
    with pytest.raises(TenantChoiceError, match="quickstart"):
        default_tenant()
    make_tenant(name="Acme")
    with pytest.raises(TenantChoiceError, match=r"'Nobody'.*'Acme'"):
        default_tenant("Nobody")


@pytest.mark.parametrize(
    "arguments", [["CI", "--expires-days", "0"], ["CI", "--role", "root"], [" "], []]
)
def test_wrong_use_makes_nothing(arguments: list[str]) -> None:
    make_tenant()

    with pytest.raises(CommandError):
        run(*arguments)

    assert not ApiToken.objects.exists()


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call_command("create_token", "--help")

    assert "  manage.py create_token CI --role operator" in capsys.readouterr().out
