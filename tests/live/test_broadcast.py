"""A program outside publishes a live event."""

from __future__ import annotations

import pytest
from django.test import Client

from hostmaster.core.live.models import LiveEvent
from hostmaster.core.live.services import missed_since, publish
from hostmaster.core.tenants.models import Role
from tests.factories import bearer, make_tenant, make_token

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

URL = "/internal/broadcast"


@pytest.mark.parametrize(
    ("role", "body", "status"),
    [
        ("viewer", '{"topic": "a"}', 403),
        ("operator", "no JSON", 400),
        ("operator", '{"topic": "a", "data": {"a": "\\u0000"}}', 400),
        ("operator", '["a"]', 422),
        ("operator", '{"topic": "a\\nid: 1"}', 422),
        ("operator", '{"topic": "A"}', 422),
        ("operator", '{"topic": "a", "data": [1]}', 422),
        ("operator", '{"topic": "a", "tenant": "other"}', 422),
        ("operator", '{"topic": "a", "data": {"a": "%s"}}' % ("x" * 20_000), 413),
    ],
)
def test_a_broadcast_that_cannot_be_accepted_says_why(role: str, body: str, status: int) -> None:
    headers = bearer(make_token(name="worker", role=Role(role)))
    answer = Client().post(URL, body, "application/json", headers=headers)
    assert (answer.status_code, bool(answer.json()["detail"])) == (status, True)
    assert not LiveEvent.objects.exists()


def test_nobody_broadcasts_without_a_token() -> None:
    assert Client().post(URL, '{"topic": "a"}', "application/json").status_code == 401
    assert Client().get(URL).status_code == 405


def test_what_was_missed_is_told_again_unless_it_is_too_much() -> None:
    tenant = make_tenant()
    first, *later = [publish(tenant, "job", {"number": number}) for number in range(4)]
    publish(make_tenant(), "job", {})
    assert missed_since(tenant.pk, first.pk, 3) == later
    assert missed_since(tenant.pk, first.pk, 2) is None
    assert missed_since(tenant.pk, first.pk + 1000, 3) is None
