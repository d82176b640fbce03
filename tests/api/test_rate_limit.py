from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client

from hostmaster.core.tenants.models import ApiToken
from hostmaster.core.tenants.rate_limit import RateLimitedError, spend_request
from tests.factories import bearer, make_membership, make_token

WHOAMI = "/api/test/whoami"


@pytest.fixture(autouse=True)
def _six_a_minute(settings: Any) -> None:
    settings.API_RATE_PER_MINUTE = 6


def statuses(client: Client, token: ApiToken, times: int) -> list[int]:
    return [client.get(WHOAMI, headers=bearer(token)).status_code for _ in range(times)]


def let_pass(seconds: float) -> None:
    """As if the last requests had been made `seconds` earlier."""
    ApiToken.objects.update(bucket_full_at=F("bucket_full_at") - timedelta(seconds=seconds))


@pytest.mark.django_db
@pytest.mark.both_databases
def test_a_minutes_requests_may_come_at_once_and_no_more(client: Client) -> None:
    token = make_token()

    assert statuses(client, token, 8) == [200] * 6 + [429] * 2


@pytest.mark.django_db
@pytest.mark.both_databases
def test_429_says_when_and_is_true(client: Client) -> None:
    token = make_token()
    statuses(client, token, 6)

    answer = client.get(WHOAMI, headers=bearer(token))
    wait = int(answer["Retry-After"])

    assert 9 <= wait <= 10  # one request each 10 s, less the moments this test took
    assert answer.json() == {"detail": f"Too many requests with this token; try again in {wait} s."}
    let_pass(wait - 2)
    assert statuses(client, token, 1) == [429]
    let_pass(2)
    assert statuses(client, token, 2) == [200, 429]


@pytest.mark.django_db
@pytest.mark.both_databases
def test_a_long_rest_fills_the_bucket_no_higher_than_full(client: Client) -> None:
    token = make_token()
    statuses(client, token, 6)

    let_pass(3600)

    assert statuses(client, token, 7) == [200] * 6 + [429]


@pytest.mark.django_db
def test_each_token_has_its_own_bucket_and_sessions_have_none(client: Client) -> None:
    tired, fresh = make_token(), make_token()
    statuses(client, tired, 6)

    assert statuses(client, tired, 1) == [429]
    assert statuses(client, fresh, 1) == [200]
    client.force_login(make_membership().user)
    assert [client.get(WHOAMI).status_code for _ in range(8)] == [200] * 8


@pytest.mark.django_db(transaction=True)
@pytest.mark.both_databases
def test_simultaneous_requests_share_one_bucket() -> None:
    token = make_token()

    def try_once(_number: int) -> bool:
        try:
            spend_request(ApiToken.objects.get(pk=token.pk))
        except RateLimitedError:
            return False
        else:
            return True
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        granted = sum(pool.map(try_once, range(24)))

    assert granted == 6
