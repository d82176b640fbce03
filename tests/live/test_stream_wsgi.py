"""The stream under WSGI, where each one reads by itself in the server's thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test import Client
from pytest_django import Settings

from hostmaster.core.live import stream, window
from hostmaster.core.live.services import publish
from hostmaster.core.tenants.models import ApiToken, Role
from tests.factories import bearer, make_token
from tests.projects import Project

pytestmark = pytest.mark.services

LIMIT_SECONDS = 60.0


class Listener:
    """Reads one stream in a thread until it is told to stop, or the stream ends."""

    def __init__(self, token: ApiToken, last: int | None) -> None:
        self.heard: list[str] = []
        self.stops = False
        self._headers = bearer(token) | ({} if last is None else {"Last-Event-ID": str(last)})
        self.thread = threading.Thread(target=self._read)

    def wait_for(self, *marks: str) -> None:
        deadline = time.monotonic() + LIMIT_SECONDS
        while not all(self.count(mark) for mark in marks):
            assert time.monotonic() < deadline, f"{marks} expected, heard {self.heard}"
            time.sleep(0.02)

    def count(self, mark: str) -> int:
        return sum(mark in text for text in self.heard)

    def _read(self) -> None:
        answer = Client().get("/api/v1/stream", headers=self._headers)
        try:
            for chunk in answer.streaming_content:  # type: ignore[attr-defined]  # its stubs
                self.heard.append(chunk.decode())
                if self.stops:
                    break
        finally:
            answer.close()
            connection.close()


@contextmanager
def listening(token: ApiToken, last: int | None = None) -> Iterator[Listener]:
    listener = Listener(token, last)
    listener.thread.start()
    try:
        yield listener
    finally:
        listener.stops = True
        publish(token.tenant, "end", {})
        listener.thread.join(LIMIT_SECONDS)


@pytest.fixture
def token(project_env: Project, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> ApiToken:
    settings.LIVE_POLL_SECONDS = 0.05
    monkeypatch.setattr(window, "OVERLAP", timedelta(seconds=LIMIT_SECONDS))  # of a busy machine
    monkeypatch.setattr(stream, "WSGI_SECONDS", LIMIT_SECONDS)
    return make_token(name="page", role=Role.VIEWER)


@pytest.mark.parametrize("project_env", ["postgresql"], indirect=True)
def test_what_commits_out_of_order_is_heard(token: ApiToken) -> None:
    """SQLite has one writer, so keys commit in order there."""
    has_drawn, may_commit = threading.Event(), threading.Event()

    def write_first() -> None:
        with transaction.atomic():
            publish(token.tenant, "job", {"mark": "first-drawn"})
            has_drawn.set()
            assert may_commit.wait(LIMIT_SECONDS)
        connection.close()

    with listening(token) as listener:
        tell_until_heard(listener, token)
        writer = threading.Thread(target=write_first)
        writer.start()
        assert has_drawn.wait(LIMIT_SECONDS)
        publish(token.tenant, "job", {"mark": "first-committed"})
        try:
            listener.wait_for("first-committed")
        finally:
            may_commit.set()
            writer.join(LIMIT_SECONDS)
        listener.wait_for("first-drawn")
        publish(token.tenant, "job", {"mark": "last"})
        listener.wait_for("last")
        assert [listener.count(mark) for mark in ("first-drawn", "first-committed")] == [1, 1]


def test_a_stream_resumes_without_gap_and_tells_of_its_tenant_alone(token: ApiToken) -> None:
    heard = publish(token.tenant, "job", {"mark": "heard-before"})
    publish(token.tenant, "job", {"mark": "missed"})
    publish(make_token(name="stranger").tenant, "job", {"mark": "not-ours"})
    with listening(token, last=heard.pk) as listener:
        listener.wait_for("missed")
        publish(token.tenant, "job", {"mark": "new"})
        listener.wait_for("new")
        marks = ("heard-before", "missed", "new", "not-ours")
        assert [listener.count(mark) for mark in marks] == [0, 1, 1, 0]


def test_a_page_that_hears_nothing_is_told_where_to_go_on(token: ApiToken) -> None:
    newest = publish(token.tenant, "job", {"mark": "before"})
    with listening(token) as listener:
        listener.wait_for(f"id: {newest.pk}\n\n")
        assert not listener.count("before")


def tell_until_heard(listener: Listener, token: ApiToken) -> None:
    """From then on the stream is open."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not listener.count("hello"):
        assert time.monotonic() < deadline
        publish(token.tenant, "job", {"mark": "hello"})
        time.sleep(0.1)
