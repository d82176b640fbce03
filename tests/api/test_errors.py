from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from django.test import Client

from tests.factories import bearer, make_token

pytestmark = pytest.mark.django_db

NOTES = "/api/test/notes"


@pytest.fixture
def headers() -> dict[str, str]:
    return bearer(make_token())


def send(client: Client, headers: dict[str, str], body: Any, path: str = NOTES) -> tuple[int, Any]:
    answer = client.post(path, body, content_type="application/json", headers=headers)
    return answer.status_code, answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        "not json",
        '{"title":',
        b"\xff\xfe",
        "[" * 100_000,
        '{"title": "a", "region": "b", "details": {"n": NaN}}',
        '{"title": "a\\u0000", "region": "b"}',
        '{"title": "a", "region": "b", "details": {"x": ["\\u0000"]}}',
        '{"title": "a", "region": "b", "details": {"\\ud800": 1}}',
        '{"title": "a", "region": "b", "details": {"n": 1' + "0" * 5000 + "}}",
    ],
    ids=lambda body: repr(body[:60]),
)
def test_body_that_is_not_json_or_not_storable_is_400(
    client: Client, headers: dict[str, str], body: str | bytes
) -> None:
    assert send(client, headers, body) == (400, "Cannot parse request body")


def test_backslashes_that_only_look_like_nul_are_kept(
    client: Client, headers: dict[str, str]
) -> None:
    note = {"title": "a\\u0000b", "region": "b\\\\u0000", "details": {}}

    answer = client.post(NOTES, note, content_type="application/json", headers=headers)

    assert (answer.status_code, answer.json()) == (201, note)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"title": "a"}, "region"),
        ({"region": "b"}, "title"),
        ({"title": 7, "region": "b"}, "title"),
        ({"title": "x" * 21, "region": "b"}, "title"),
        ({"title": "a", "region": "b", "details": "none"}, "details"),
        ({"title": "a", "region": "nowhere"}, "region"),
    ],
)
def test_broken_schema_is_422_and_names_the_field(
    client: Client, headers: dict[str, str], body: dict[str, Any], field: str
) -> None:
    status, detail = send(client, headers, body)

    assert status == 422
    assert [error["loc"][-1] for error in detail] == [field]
    assert all(error["msg"] for error in detail)


@pytest.mark.parametrize("body", ["[]", "7", "null", '"text"'])
def test_json_of_another_kind_is_422(client: Client, headers: dict[str, str], body: str) -> None:
    assert send(client, headers, body)[0] == 422


def test_what_was_sent_is_not_sent_back(client: Client, headers: dict[str, str]) -> None:
    status, detail = send(client, headers, {"title": {"secret": "hunter2"}, "region": "b"})

    assert status == 422
    assert "hunter2" not in json.dumps(detail)


def test_query_is_checked_like_a_body(client: Client, headers: dict[str, str]) -> None:
    for query in ("limit=0", "limit=201", "limit=x", "offset=-1", "offset=100001"):
        answer = client.get(f"/api/test/tokens?{query}", headers=headers)
        assert answer.status_code == 422, query
        assert answer.json()["detail"][0]["loc"][-1] == query.split("=")[0]
    assert client.get("/api/test/tokens?name=%00", headers=headers).status_code == 400


def test_pages_follow_each_other_to_the_end(client: Client, headers: dict[str, str]) -> None:
    from hostmaster.core.tenants.models import ApiToken

    mine = ApiToken.objects.get()
    for _ in range(4):
        make_token(tenant=mine.tenant)
    found: list[int] = []
    offset: int | None = 0
    while offset is not None:
        page = client.get(f"/api/test/tokens?limit=2&offset={offset}", headers=headers).json()
        found += [item["id"] for item in page["items"]]
        offset = page["next_offset"]

    assert found == list(ApiToken.objects.order_by("pk").values_list("pk", flat=True))


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/nothing",
        "/api/test/nothing",
        "/api/test/things/01234567-89ab-cdef-0123-456789abcdef",
        "/api/test/tokens/%00",
        "/api/",
    ],
)
def test_404_is_json_and_tells_nothing(client: Client, headers: dict[str, str], path: str) -> None:
    answer = client.get(path, headers=headers)

    assert answer.status_code == 404
    assert "secret detail" not in answer.json()["detail"]


def test_404_elsewhere_is_a_page(client: Client) -> None:
    answer = client.get("/nothing")

    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("kind", "status", "detail"),
    [
        ("conflict", 409, "It is running already."),
        ("row", 422, [{"type": "invalid", "loc": ["body", "name"], "msg": "This name is taken."}]),
        ("rows", 422, [{"type": "invalid", "loc": ["body"], "msg": "The dates do not fit."}]),
    ],
)
def test_refusals_of_a_service_reach_the_caller(
    client: Client, headers: dict[str, str], kind: str, status: int, detail: object
) -> None:
    assert send(client, headers, {}, f"/api/test/fail/{kind}") == (status, detail)


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(("kind", "status"), [("anything", 500), ("database", 503)])
def test_failures_are_logged_and_leak_nothing(
    client: Client,
    headers: dict[str, str],
    caplog: pytest.LogCaptureFixture,
    settings: Any,
    kind: str,
    status: int,
    debug: bool,
) -> None:
    settings.DEBUG = debug
    with caplog.at_level(logging.ERROR):
        answer = client.post(f"/api/test/fail/{kind}", headers=headers)

    assert answer.status_code == status
    assert b"hunter2" not in answer.content
    assert b"Traceback" not in answer.content
    assert [record.exc_info is not None for record in caplog.records] == [True]
    assert ("Retry-After" in answer) is (kind == "database")


def test_failure_outside_a_route_is_json_too(
    headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hostmaster.core.web import api_gate

    def broken(_request: object) -> None:
        raise RuntimeError("hunter2")

    client = Client(raise_request_exception=False)
    monkeypatch.setattr(api_gate, "_refusal", broken)

    answer = client.get("/api/test/whoami", headers=headers)

    assert answer.status_code == 500
    assert answer.json() == {"detail": "The server failed; the failure is in its log."}


def test_body_above_one_mebibyte_is_413(client: Client, headers: dict[str, str]) -> None:
    def note(size: int) -> str:
        frame = json.dumps({"title": "a", "region": ""})
        return json.dumps({"title": "a", "region": "x" * (size - len(frame))})

    answer = client.post(NOTES, note(1024 * 1024), content_type="application/json", headers=headers)
    assert answer.status_code == 201

    assert send(client, headers, note(1024 * 1024 + 1))[0] == 413


def test_body_of_unknown_length_is_411(client: Client, headers: dict[str, str]) -> None:
    answer = client.generic("POST", NOTES, b"", headers={**headers, "Transfer-Encoding": "chunked"})

    assert answer.status_code == 411


def test_answers_are_not_kept_by_caches(client: Client, headers: dict[str, str]) -> None:
    for path in ("/api/test/whoami", "/api/test/nothing", "/api/v1/openapi.json"):
        assert client.get(path, headers=headers)["Cache-Control"] == "no-store"
