from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from hostmaster.core.tenants.models import ApiToken, Membership, Role
from hostmaster.core.tenants.services import revoke_token
from tests.factories import bearer, make_membership, make_tenant, make_token, make_user

pytestmark = pytest.mark.django_db

WHOAMI = "/api/test/whoami"
NOTES = "/api/test/notes"
NOTE = {"title": "Hello", "region": "eu-west-1"}


def post(client: Client, path: str, **headers: str) -> int:
    return client.post(path, NOTE, content_type="application/json", headers=headers).status_code


@pytest.mark.both_databases
def test_token_acts_for_its_tenant(client: Client) -> None:
    token = make_token(name="CI", role=Role.VIEWER)

    answer = client.get(WHOAMI, headers=bearer(token))

    assert answer.json() == {"tenant": token.tenant.name, "role": "viewer", "actor": "token CI"}
    last_used_at = ApiToken.objects.get().last_used_at
    assert last_used_at is not None
    assert abs(last_used_at - timezone.now()) < timedelta(seconds=5)


@pytest.mark.both_databases
def test_authenticated_request_costs_one_read_and_one_write(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    headers = bearer(make_token())

    with django_assert_num_queries(2) as queries:
        client.get(WHOAMI, headers=headers)

    assert [query["sql"].split()[0] for query in queries.captured_queries] == ["SELECT", "UPDATE"]


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer hm_0_0", "Basic aG06aG0=", "Bearer hm_\xe9_1"]
)
def test_without_a_good_token_401_says_what_to_send(client: Client, header: str) -> None:
    answer = client.get(WHOAMI, headers={"Authorization": header} if header else {})

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"
    assert "Authorization: Bearer" in answer.json()["detail"]


def test_401_comes_before_anything_is_read_of_the_body(client: Client) -> None:
    assert client.post(NOTES, "not json", content_type="application/json").status_code == 401


def test_refused_credentials_are_not_logged(
    client: Client, caplog: pytest.LogCaptureFixture, settings: object
) -> None:
    vars(settings)["DEBUG"] = True
    with caplog.at_level(logging.DEBUG):
        client.get(WHOAMI, headers={"Authorization": "Basic aHVudGVyMg=="})

    assert "aHVudGVyMg" not in caplog.text


def test_scheme_is_read_in_any_case(client: Client) -> None:
    text = make_token().plain_text

    assert client.get(WHOAMI, headers={"Authorization": f"bearer {text}"}).status_code == 200


def test_revoked_and_expired_tokens_get_401(client: Client) -> None:
    revoked = make_token()
    expired = make_token(expires_at=timezone.now() - timedelta(seconds=1))
    assert client.get(WHOAMI, headers=bearer(revoked)).status_code == 200
    revoke_token(revoked)

    assert client.get(WHOAMI, headers=bearer(revoked)).status_code == 401
    assert client.get(WHOAMI, headers=bearer(expired)).status_code == 401


@pytest.mark.parametrize(
    ("role", "writing", "administering"),
    [(Role.VIEWER, 403, 403), (Role.OPERATOR, 201, 403), (Role.ADMIN, 201, 200)],
)
def test_viewer_reads_operator_writes_admin_does_all(
    client: Client, role: Role, writing: int, administering: int
) -> None:
    headers = bearer(make_token(role=role))

    assert client.get(WHOAMI, headers=headers).status_code == 200
    assert post(client, NOTES, **headers) == writing
    assert post(client, "/api/test/keys", **headers) == administering


def test_403_names_the_role_that_is_needed(client: Client) -> None:
    answer = client.post("/api/test/keys", headers=bearer(make_token(role=Role.OPERATOR)))

    assert answer.json() == {"detail": "This needs the role admin; yours is operator."}


@pytest.mark.both_databases
def test_foreign_id_is_404_like_one_that_never_was(client: Client) -> None:
    mine, foreign = make_token(), make_token()

    answers = [
        client.get(f"/api/test/tokens/{pk}", headers=bearer(mine))
        for pk in (foreign.pk, foreign.pk + 1000)
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content
    assert client.get(f"/api/test/tokens/{mine.pk}", headers=bearer(mine)).status_code == 200


def test_list_holds_only_the_tenants_own(client: Client) -> None:
    mine = make_token()
    make_token()

    items = client.get("/api/test/tokens", headers=bearer(mine)).json()["items"]

    assert [item["id"] for item in items] == [mine.pk]


class TestSession:
    def sign_in(self, role: Role = Role.OPERATOR) -> tuple[Client, Membership]:
        membership = make_membership(role=role)
        client = Client(enforce_csrf_checks=True)
        client.force_login(membership.user)
        return client, membership

    def csrf_token(self, client: Client) -> str:
        client.get("/api/v1/docs")  # its page carries the token
        return str(client.cookies["csrftoken"].value)

    def test_member_reads(self) -> None:
        client, membership = self.sign_in(Role.ADMIN)

        assert client.get(WHOAMI).json() == {
            "tenant": membership.tenant.name,
            "role": "admin",
            "actor": f"user {membership.user.username}",
        }

    def test_writing_needs_the_csrf_token(self) -> None:
        client, _ = self.sign_in()

        assert post(client, NOTES) == 403
        assert post(client, NOTES, **{"X-CSRFToken": self.csrf_token(client)}) == 201

    def test_viewer_may_not_write(self) -> None:
        client, _ = self.sign_in(Role.VIEWER)

        assert post(client, NOTES, **{"X-CSRFToken": self.csrf_token(client)}) == 403

    def test_user_without_membership_gets_403(self, client: Client) -> None:
        client.force_login(make_user(is_staff=True, is_superuser=True))

        assert client.get(WHOAMI).status_code == 403

    def test_member_of_several_tenants_names_one(self) -> None:
        client, first = self.sign_in()
        second = make_membership(user=first.user, role=Role.VIEWER)

        assert client.get(WHOAMI).status_code == 400
        for name in (second.tenant.name, str(second.tenant.pk)):
            answer = client.get(WHOAMI, headers={"X-Tenant": name})
            assert answer.json()["tenant"] == second.tenant.name
            assert answer.json()["role"] == "viewer"

    def test_naming_a_foreign_tenant_is_refused_like_an_unknown_one(self) -> None:
        client, _ = self.sign_in()
        foreign = make_tenant()

        answers = [client.get(WHOAMI, headers={"X-Tenant": n}) for n in (foreign.name, "nobody")]

        assert [answer.status_code for answer in answers] == [403, 403]
        assert answers[0].content == answers[1].content

    def test_refused_token_does_not_fall_back_to_the_cookie(self) -> None:
        client, _ = self.sign_in()

        assert client.get(WHOAMI, headers={"Authorization": "Bearer hm_0_0"}).status_code == 401

    def test_signed_out_cookie_is_401(self) -> None:
        client, _ = self.sign_in()
        client.session.flush()

        assert client.get(WHOAMI).status_code == 401
        assert post(client, NOTES) == 401
