"""The stream of live events, by a real server on both databases."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import requests
from django.db import connection, transaction

from hostmaster.core.live.services import publish
from hostmaster.core.tenants.models import ApiToken, Role
from hostmaster.core.tenants.services import revoke_token
from tests.factories import bearer, make_token
from tests.live.listening import Stream
from tests.projects import Project
from tests.web.conftest import served

pytestmark = pytest.mark.services


@pytest.fixture
def token(project_env: Project) -> ApiToken:
    return make_token(name="page", role=Role.VIEWER)


@pytest.fixture
def url(project_env: Project) -> Iterator[str]:
    with served(project_env.environment | {"LIVE_POLL_SECONDS": "0.2"}) as address:
        yield address


def test_a_page_hears_of_its_tenant_alone_and_resumes(url: str, token: ApiToken) -> None:
    tenant, stranger = token.tenant, make_token(name="stranger").tenant
    with Stream(url, token) as stream, Stream(url, token, topics="incident") as narrow:
        publish(stranger, "incident", {"name": "not ours"})
        first = publish(tenant, "monitor", {"status": "down"})
        publish(tenant, "incident", {"status": "open"})
        heard = stream.wait_for(2)
        assert [event.topic for event in heard] == ["monitor", "incident"]
        assert heard[0].data == {"status": "down"}
        assert [event.topic for event in narrow.wait_for(1)] == ["incident"]

    publish(tenant, "job", {"state": "FAILED"})
    with Stream(url, token, last=first.pk) as resumed:
        assert {"incident", "job"} <= {event.topic for event in resumed.wait_for(2)}
        assert first.pk not in {event.pk for event in resumed.heard}
    with Stream(url, token, last=first.pk + 10_000) as too_old:
        assert too_old.wait_for(1)[0].topic == "resync"


def test_events_of_many_writers_are_all_heard_once(url: str, token: ApiToken) -> None:
    """Keys are drawn before their transactions commit, so they become visible in any order."""

    def write(number: int) -> None:
        for at in range(10):
            with transaction.atomic():
                publish(token.tenant, "job", {"number": number * 10 + at})
                time.sleep(0.01 * (number % 3))
        connection.close()

    with Stream(url, token) as stream:
        writers = [threading.Thread(target=write, args=(number,)) for number in range(6)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        heard = stream.wait_for(60)
        time.sleep(0.5)
    assert sorted(event.data["number"] for event in heard) == list(range(60))


def test_strangers_hear_nothing(url: str, token: ApiToken) -> None:
    assert requests.get(f"{url}/api/v1/stream", timeout=5).status_code == 401
    headers = {"Authorization": "Bearer hm_0_0"}
    assert requests.get(f"{url}/api/v1/stream", headers=headers, timeout=5).status_code == 401
    revoke_token(token)
    answer = requests.get(f"{url}/api/v1/stream", headers=bearer(token), timeout=5)
    assert answer.status_code == 401


def test_a_program_outside_broadcasts_to_its_own_tenant(url: str, token: ApiToken) -> None:
    operator = make_token(tenant=token.tenant, name="worker", role=Role.OPERATOR)
    body = {"topic": "monitor", "data": {"status": "down"}}
    with Stream(url, token) as stream:
        sent = requests.post(
            f"{url}/internal/broadcast", json=body, headers=bearer(operator), timeout=5
        )
        assert sent.status_code == 202
        (heard,) = stream.wait_for(1)
    assert (heard.pk, heard.topic, heard.data) == (sent.json()["id"], "monitor", body["data"])
