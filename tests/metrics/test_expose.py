"""/metrics: what is shown, and to whom."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client import Metric as Family
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import DjangoAssertNumQueries, Settings

from hostmaster.core.health.models import Heartbeat
from hostmaster.core.metrics import gauges
from hostmaster.core.metrics.exposition import exposition
from hostmaster.core.metrics.services import Increment, add, observe
from hostmaster.core.registry import Metric, get_registry
from tests.factories import make_errand
from tests.kernel_app.models import Errand

pytestmark = pytest.mark.django_db
TOKEN = "a-metrics-token-of-the-tests"


def families() -> dict[str, Family]:
    return {family.name: family for family in text_string_to_metric_families(exposition().decode())}


def sample(family: str, name: str | None = None, /, **labels: str) -> float:
    [value] = [
        found.value
        for found in families()[family].samples
        if found.name == (name or family) and found.labels == labels
    ]
    return float(value)


def broken() -> Iterator[tuple[dict[str, str], float]]:
    raise RuntimeError("this gauge is broken")


def unexpected_labels() -> list[tuple[dict[str, str], float]]:
    return [({"quote": 'a "quoted"\\ value\nof two lines'}, 1.0)]


@pytest.mark.both_databases
def test_counters_never_fall_when_job_rows_are_pruned() -> None:
    make_errand(state=Errand.State.DONE)
    add(Increment("jobs_processed_total", {"kind": "note"}))
    Errand.objects.all().delete()
    assert sample("jobs_processed", "jobs_processed_total", kind="note") == 1


@pytest.mark.both_databases
def test_a_histogram_is_cumulative_and_counts_all_observations() -> None:
    for seconds in (0.01, 0.2, 0.2, 4000.0):
        add(*observe("job_duration_seconds", seconds, kind="note"))
    name = "job_duration_seconds"
    buckets = {
        found.labels["le"]: found.value
        for found in families()[name].samples
        if found.name == f"{name}_bucket"
    }
    assert buckets["0.05"] == 1
    assert buckets["0.25"] == 3
    assert buckets["1800"] == 3
    assert buckets["+Inf"] == 4
    assert sample(name, f"{name}_count", kind="note") == 4
    assert sample(name, f"{name}_sum", kind="note") == pytest.approx(4000.41)
    assert families()[name].type == "histogram"


@pytest.mark.both_databases
def test_queue_depth_counts_open_jobs_by_lane_kind_and_state() -> None:
    make_errand(kind="note")
    make_errand(kind="note")
    make_errand(kind="quick", state=Errand.State.RUNNING)
    make_errand(kind="quick", state=Errand.State.DONE)
    assert sample("queue_depth", lane="scans", kind="note", state="waiting") == 2
    assert sample("queue_depth", lane="default", kind="quick", state="running") == 1
    assert sample("queue_depth", lane="default", kind="quick", state="waiting") == 0
    states = {found.labels["state"] for found in families()["queue_depth"].samples}
    assert "done" not in states


@pytest.mark.both_databases
def test_the_oldest_due_job_of_a_lane_is_measured_and_a_future_one_is_not() -> None:
    now = timezone.now()
    make_errand(kind="note", run_at=now - timedelta(seconds=90))
    make_errand(kind="note", run_at=now - timedelta(seconds=30))
    make_errand(kind="quick", run_at=now + timedelta(hours=1))
    assert sample("queue_oldest_due_seconds", lane="scans") == pytest.approx(90, abs=10)
    assert sample("queue_oldest_due_seconds", lane="default") == 0


@pytest.mark.both_databases
def test_where_nothing_is_due_no_lane_waits() -> None:
    assert gauges.oldest_due() == {}


@pytest.mark.both_databases
def test_dead_letters_are_counted_by_kind() -> None:
    make_errand(kind="note", state=Errand.State.FAILED)
    make_errand(kind="note", state=Errand.State.TIMED_OUT)
    make_errand(kind="note", state=Errand.State.CANCELLED)
    assert sample("dead_letters", kind="note") == 2
    assert sample("dead_letters", kind="quick") == 0


@pytest.mark.both_databases
def test_live_workers_show_their_figures_and_silent_ones_do_not() -> None:
    now = timezone.now()
    figures = {"kind": "worker", "lane": "scans", "host": "h", "rss_bytes": 7, "cpu_seconds": 1.5}
    Heartbeat.objects.create(name="alive", pid=1, beat_at=now, jobs_done=3, **figures)
    Heartbeat.objects.create(name="silent", pid=2, beat_at=now - timedelta(hours=1), **figures)
    assert sample("workers_up", lane="scans") == 1
    assert sample("workers_up", lane="alerts") == 0
    assert sample("worker_rss_bytes", lane="scans", worker="alive") == 7
    assert sample("worker_cpu_seconds", lane="scans", worker="alive") == 1.5
    assert sample("worker_jobs_done", lane="scans", worker="alive") == 3
    assert len(families()["worker_rss_bytes"].samples) == 1


def test_each_declared_family_has_help_and_its_type() -> None:
    shown = families()
    for metric in get_registry().metrics.values():
        name = metric.name.removesuffix("_total") if metric.type == "counter" else metric.name
        assert (shown[name].type, shown[name].documentation) == (metric.type, metric.help)
        assert metric.type != "counter" or metric.name.endswith("_total")
    assert sample("database_up") == 1


def test_a_broken_gauge_is_named_and_blinds_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    gauge = Metric("broken", "Always raises.", type="gauge", read=f"{__name__}.broken")
    monkeypatch.setitem(get_registry().metrics, "broken", gauge)
    assert sample("scrape_errors", family="broken") == 1
    assert sample("database_up") == 1
    assert "dead_letters" in families()


def test_label_values_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    read = f"{__name__}.unexpected_labels"
    monkeypatch.setitem(
        get_registry().metrics, "odd", Metric("odd", "Odd.", ("quote",), type="gauge", read=read)
    )
    assert sample("odd", quote='a "quoted"\\ value\nof two lines') == 1


@pytest.mark.both_databases
def test_the_cost_of_a_scrape_does_not_grow_with_the_rows(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for _ in range(20):
        make_errand()
    with django_assert_max_num_queries(40):
        exposition()


def test_the_token_opens_metrics(client: Client, settings: Settings) -> None:
    settings.METRICS_TOKEN = TOKEN
    response = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=")
    assert b"# TYPE jobs_processed_total counter" in response.content


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN])
def test_a_wrong_token_is_told_so(header: str, client: Client, settings: Settings) -> None:
    settings.METRICS_TOKEN = TOKEN
    response = client.get("/metrics", headers={"Authorization": header})
    assert response.status_code == 401
    assert "Bearer" in response["WWW-Authenticate"]
    assert b"jobs" not in response.content


@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer x"])
def test_without_a_configured_token_there_is_no_such_page(
    header: str, client: Client, settings: Settings
) -> None:
    settings.METRICS_TOKEN = ""
    response = client.get("/metrics", headers={"Authorization": header})
    assert response.status_code == 404


def test_metrics_are_read_only(client: Client, settings: Settings) -> None:
    settings.METRICS_TOKEN = TOKEN
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert client.post("/metrics", headers=headers).status_code == 405
