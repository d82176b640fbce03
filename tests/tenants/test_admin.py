from __future__ import annotations

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.test import Client

from hostmaster.core.tenants.models import ApiToken, Membership, Role
from hostmaster.core.tenants.services import authenticate_token
from tests.factories import make_staff, make_tenant, make_token, make_user

pytestmark = pytest.mark.django_db

TOKENS = "/admin/tenants/apitoken/"


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(make_staff())
    return client


def test_new_token_is_shown_on_that_page_and_kept_nowhere(operator: Client) -> None:
    tenant = make_tenant()
    form = {"tenant": str(tenant.pk), "name": "CI", "role": "operator"}

    page = operator.post(f"{TOKENS}add/", form)
    found = re.search(r"hm_[0-9a-f]{16}_[0-9a-f]{64}", page.content.decode())

    assert found
    token = authenticate_token(found[0])
    assert token is not None
    assert (token.tenant, token.name, token.role) == (tenant, "CI", Role.OPERATOR)
    assert "no-store" in page["Cache-Control"]
    secret = found[0].split("_")[2]
    kept = [
        operator.get(TOKENS).content.decode(),
        operator.get(f"{TOKENS}{token.pk}/change/").content.decode(),
        repr(list(LogEntry.objects.values())),
        repr([session.get_decoded() for session in Session.objects.all()]),
        repr(operator.cookies),
    ]
    assert all(secret not in text for text in kept)


def test_hash_is_on_no_page(operator: Client) -> None:
    token = make_token()

    for path in (TOKENS, f"{TOKENS}{token.pk}/change/", f"{TOKENS}add/"):
        assert token.secret_hash not in operator.get(path).content.decode()


def test_only_the_name_of_a_token_can_be_changed(operator: Client) -> None:
    token = make_token(role=Role.VIEWER)
    form = {"name": "renamed", "role": "admin", "expires_at_0": "", "token_id": "x"}

    assert operator.post(f"{TOKENS}{token.pk}/change/", form).status_code == 302

    after = ApiToken.objects.get()
    assert (after.name, after.role, after.token_id) == ("renamed", Role.VIEWER, token.token_id)
    assert authenticate_token(token.plain_text) == after


def test_revoking_asks_first_and_names_the_tokens(operator: Client) -> None:
    token, other = make_token(name="CI"), make_token()
    form = {"action": "revoke", "_selected_action": [token.pk], "index": "0"}

    asked = operator.post(TOKENS, form)
    assert "CI" in asked.content.decode()
    assert authenticate_token(token.plain_text) is not None

    told = operator.post(TOKENS, form | {"confirmed": "yes"}, follow=True)
    assert "Revoked: CI." in told.content.decode()
    assert authenticate_token(token.plain_text) is None
    assert authenticate_token(other.plain_text) is not None


def test_member_is_added_on_the_tenants_page(operator: Client) -> None:
    tenant, user = make_tenant(), make_user()
    form = {
        "name": tenant.name,
        "memberships-TOTAL_FORMS": "1",
        "memberships-INITIAL_FORMS": "0",
        "memberships-0-user": str(user.pk),
        "memberships-0-role": "operator",
    }

    assert operator.post(f"/admin/tenants/tenant/{tenant.pk}/change/", form).status_code == 302

    membership = Membership.objects.get()
    assert (membership.tenant, membership.user, membership.role) == (tenant, user, "operator")


@pytest.mark.parametrize("model", ["tenant", "membership", "apitoken"])
def test_lists_cost_the_same_for_one_row_and_for_many(operator: Client, model: str) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from tests.factories import make_membership

    def cost() -> int:
        make_membership()
        make_token()
        with CaptureQueriesContext(connection) as queries:
            assert operator.get(f"/admin/tenants/{model}/").status_code == 200
        return len(queries)

    first = cost()
    cost()
    assert cost() == first
