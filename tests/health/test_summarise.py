"""/health, /health/live, /health/ready and the worker port."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from hostmaster.core.health.internal import InternalServer, serve_internal
from hostmaster.core.health.models import ComponentState, Status
from hostmaster.core.health.probe import DEADLINE_SECONDS, DatabaseProbe, database_probe
from hostmaster.core.health.summary import JOBS
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.jobs.models import ScheduleState
from hostmaster.core.registry import Schedule, get_registry
from tests.health import scripted
from tests.health.conftest import Register

TOKEN = "a-metrics-token-of-the-tests"
STOPPED = dict.fromkeys(JOBS, "stopped")


def make_schedule_state(name: str, **overrides: Any) -> ScheduleState:
    now = timezone.now()
    fields = {
        "lane": Lane.ALERTS.value,
        "cron": "* * * * * */30",
        "last_started_at": now,
        "next_run_at": now + timedelta(seconds=30),
    }
    return ScheduleState.objects.create(name=name, **{**fields, **overrides})


@pytest.fixture
def installed_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in JOBS:
        schedule = Schedule(name, "time.time", "* * * * * */30", Lane.ALERTS)
        monkeypatch.setitem(get_registry().schedules, name, schedule)


@pytest.fixture
def healthy(components: Register) -> None:
    components(thing="check")
    scripted.play(Status.HEALTHY)


@pytest.mark.django_db
@pytest.mark.both_databases
def test_health_is_the_customers_json_and_nothing_more(
    client: Client, healthy: None, installed_jobs: None
) -> None:
    for name in JOBS:
        make_schedule_state(name)
    response = client.get("/health")
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert "no-store" in response["Cache-Control"]
    assert response.json() == {
        "status": "ok",
        "database": "connected",
        "jobs": {
            "health_check": "running",
            "ssl_check": "running",
            "alert_evaluator": "running",
            "notification": "running",
        },
    }


@pytest.mark.django_db
def test_jobs_of_apps_that_are_not_installed_lower_nothing(client: Client, healthy: None) -> None:
    body = client.get("/health").json()
    installed = set(JOBS) & get_registry().schedules.keys()
    assert not installed or body["status"] == "degraded"
    assert installed or body == {"status": "ok", "database": "connected", "jobs": STOPPED}


@pytest.mark.django_db
@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("overdue", "state"),
    [(-30, "running"), (30, "running"), (90, "late"), (700, "stopped")],
)
def test_a_job_is_late_by_a_minute_and_stopped_by_ten(
    overdue: int, state: str, client: Client, healthy: None, installed_jobs: None
) -> None:
    for name in JOBS:
        make_schedule_state(name)
    late = timezone.now() - timedelta(seconds=overdue)
    ScheduleState.objects.filter(name="ssl_check").update(next_run_at=late)
    body = client.get("/health").json()
    assert body["jobs"] == {**dict.fromkeys(JOBS, "running"), "ssl_check": state}
    assert body["status"] == ("ok" if state == "running" else "degraded")


@pytest.mark.django_db
def test_a_job_that_was_never_scheduled_is_stopped(
    client: Client, healthy: None, installed_jobs: None
) -> None:
    for name in JOBS:
        make_schedule_state(name, last_started_at=None, next_run_at=None)
    body = client.get("/health").json()
    assert (body["status"], body["jobs"]) == ("degraded", STOPPED)


@pytest.mark.django_db
def test_a_job_whose_first_time_is_to_come_runs_until_it_is_late(
    client: Client, healthy: None, installed_jobs: None
) -> None:
    for name in JOBS:
        make_schedule_state(name, last_started_at=None)
    assert client.get("/health").json()["status"] == "ok"
    ScheduleState.objects.update(next_run_at=timezone.now() - timedelta(minutes=2))
    body = client.get("/health").json()
    assert (body["status"], set(body["jobs"].values())) == ("degraded", {"late"})


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("sample", "status", "code"),
    [
        (Status.DEGRADED, "degraded", 200),
        (Status.UNKNOWN, "degraded", 200),
        (Status.CRITICAL, "critical", 503),
        (Status.NOT_CONFIGURED, "ok", 200),
    ],
)
def test_status_follows_the_components(
    sample: Status, status: str, code: int, client: Client, components: Register
) -> None:
    for name in JOBS:
        make_schedule_state(name)
    components(thing="check")
    scripted.play(sample)
    response = client.get("/health")
    assert (response.json()["status"], response.status_code) == (status, code)


@pytest.mark.django_db
def test_the_monitors_fresh_judgement_is_used_and_an_old_one_is_not(
    client: Client, healthy: None
) -> None:
    for name in JOBS:
        make_schedule_state(name)
    state = ComponentState.objects.create(
        component="thing", status=Status.CRITICAL, checked_at=timezone.now()
    )
    assert client.get("/health").json()["status"] == "critical"
    assert scripted.calls == 0
    state.update_guarded(checked_at=timezone.now() - timedelta(minutes=5))
    assert client.get("/health").json()["status"] == "ok"
    assert scripted.calls == 1


@pytest.mark.django_db
def test_strangers_cannot_make_us_check_at_each_request(client: Client, healthy: None) -> None:
    for _ in range(5):
        client.get("/health")
    assert scripted.calls == 1


@pytest.mark.django_db
def test_components_are_shown_to_the_holder_of_the_token_only(
    client: Client, healthy: None, settings: Settings
) -> None:
    settings.METRICS_TOKEN = TOKEN
    assert "components" not in client.get("/health").json()
    assert "components" not in client.get("/health", headers={"X-Is-Internal": "true"}).json()
    body = client.get("/health", headers={"Authorization": f"Bearer {TOKEN}"}).json()
    assert body["components"]["thing"]["message"] == "scripted: healthy"


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_pages_are_read_only_and_start_no_session(path: str, client: Client, healthy: None) -> None:
    assert client.head(path).status_code == 200
    assert client.post(path).status_code == 405
    assert not client.cookies


def test_live_never_touches_the_database(client: Client) -> None:
    """Without the `django_db` mark any query would raise."""
    response = client.get("/health/live")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
@pytest.mark.both_databases
def test_ready_says_that_the_database_answers(client: Client) -> None:
    assert client.get("/health/ready").status_code == 200


@pytest.mark.django_db
def test_health_costs_few_queries(
    client: Client, healthy: None, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client.get("/health")
    with django_assert_max_num_queries(2):
        client.get("/health")


@pytest.fixture
def dead_database() -> Iterator[None]:
    """The database of new connections is a server that refuses them."""
    yield from _database_at("127.0.0.1", port=1)


@pytest.fixture
def black_hole() -> Iterator[None]:
    """A server that takes the connection and never says a word."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield from _database_at("127.0.0.1", port=listener.getsockname()[1])


def _database_at(host: str, port: int) -> Iterator[None]:
    original = connections.settings["default"]
    connections.settings["default"] = original | {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "nothing",
        "HOST": host,
        "PORT": port,
        "USER": "nobody",
        "PASSWORD": "a-password-of-the-tests",
        "OPTIONS": {"connect_timeout": 2},
    }
    try:
        yield
    finally:
        connections.settings["default"] = original
        database_probe.wait()


@pytest.mark.django_db
@pytest.mark.both_databases
@pytest.mark.parametrize("path", ["/health", "/health/ready"])
def test_a_dead_database_is_told_as_503(path: str, client: Client, dead_database: None) -> None:
    response = client.get(path)
    assert response.status_code == 503
    assert response.json()["database"] == "disconnected"
    assert response.json()["status"] == "critical"
    assert response.json().get("jobs", STOPPED) == STOPPED


@pytest.mark.django_db
@pytest.mark.both_databases
def test_a_black_holed_database_is_told_in_time(client: Client, black_hole: None) -> None:
    assert DEADLINE_SECONDS < 0.2
    for path in ("/health/ready", "/health/ready", "/health", "/health/live"):
        started = time.monotonic()
        response = client.get(path)
        # The deadline and what a loaded machine adds; the black hole itself lasts 2 s.
        assert time.monotonic() - started < 1.5, path
        assert response.status_code == (200 if path == "/health/live" else 503)


@pytest.mark.django_db
def test_a_black_hole_ties_up_one_thread_not_one_a_request(black_hole: None) -> None:
    import threading

    probe = DatabaseProbe()
    before = threading.active_count()
    assert [probe.is_reachable(within=0.02) for _ in range(10)] == [False] * 10
    assert threading.active_count() <= before + 1
    probe.wait()


@pytest.fixture
def worker_port() -> Iterator[InternalServer]:
    server = serve_internal(0, "127.0.0.1")
    yield server
    server.shutdown()


def ask(server: InternalServer, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    try:
        connection.request(method, path, headers={"Host": "10.0.0.7:8081"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.both_databases
def test_the_worker_port_shows_components_and_metrics_without_a_token(
    worker_port: InternalServer, healthy: None
) -> None:
    code, body = ask(worker_port, "/health")
    assert (code, json.loads(body)["components"]["thing"]["status"]) == (200, "healthy")
    code, body = ask(worker_port, "/metrics")
    assert code == 200
    assert b"# TYPE queue_depth gauge" in body
    assert ask(worker_port, "/health/live") == (200, b'{"status": "ok"}')
    assert ask(worker_port, "/health/ready")[0] == 200


@pytest.mark.django_db(transaction=True)
def test_the_worker_port_serves_nothing_else(worker_port: InternalServer) -> None:
    for path in ("/", "/admin/", "/api/v1/docs", "/health/", "/healthy"):
        assert ask(worker_port, path)[0] == 404, path
    assert ask(worker_port, "/health/live", "POST")[0] == 405
    assert ask(worker_port, "/health/live", "HEAD") == (200, b"")


@pytest.mark.django_db(transaction=True)
def test_shutting_the_worker_port_down_frees_it() -> None:
    server = serve_internal(0, "127.0.0.1")
    port = server.server_port
    server.shutdown()
    again = serve_internal(port, "127.0.0.1")
    again.shutdown()
    with pytest.raises(ConnectionRefusedError):
        ask(again, "/health/live")
