"""Real workers on one database check thousands of monitors; one is killed with -9."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.db.models import Count

from hostmaster.core.live.models import LiveEvent
from monitors.models import Monitor, MonitorCheck, MonitorRun, MonitorStateInterval
from tests.concurrency.processes import kill, stop, wait_for
from tests.factories import make_tenant
from tests.projects import ROOT, Project

pytestmark = [
    pytest.mark.services,
    pytest.mark.both_databases,
    pytest.mark.timeout(240),
]

INTERVAL, TIMEOUT = 5, 1
LEASE = TIMEOUT + 20
SETTINGS: dict[str, Any] = {
    "HOSTMASTER_ALLOWED_NETWORKS": "127.0.0.1/32",
    "MONITOR_HOST_CONCURRENCY": "200",
}


class Seen:
    """The witness server, and after the end what it saw."""

    def __init__(self, process: subprocess.Popen[str], file: Path) -> None:
        assert process.stdout is not None
        self.process = process
        self.file = file
        self.url = f"http://127.0.0.1:{process.stdout.readline().strip()}"

    def flip(self) -> None:
        self.process.send_signal(signal.SIGUSR1)

    def times(self) -> dict[str, list[tuple[float, float]]]:
        self.process.terminate()
        self.process.wait(10)
        return {
            path: [(start, end) for start, end in spans]
            for path, spans in json.loads(self.file.read_text()).items()
        }


@contextmanager
def witness(directory: Path) -> Iterator[Seen]:
    file = directory / "seen.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.monitors.witness", str(file)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Seen(process, file)
    finally:
        process.kill()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def add_monitors(count: int, url: str) -> None:
    tenant = make_tenant()
    Monitor.objects.bulk_create(
        Monitor(
            tenant=tenant,
            name=f"Monitor {number}",
            url=f"{url}/{'flips' if number % 2 else 'stays'}/{number}",
            interval_seconds=INTERVAL,
            timeout_seconds=TIMEOUT,
            retry_interval_seconds=1,
        )
        for number in range(count)
    )


def leased_by(process: subprocess.Popen[bytes]) -> int:
    return MonitorRun.objects.filter(lease_by__contains=f"/{process.pid}/").count()


def longest_gap(spans: list[tuple[float, float]], until: float) -> float:
    starts = [start for start, _ in spans]
    return max(after - before for before, after in pairwise([*starts, until]))


@pytest.mark.serial
@pytest.mark.parametrize("project_env", ["postgresql"], indirect=True)
def test_four_workers_check_2000_monitors_once_each_and_miss_none(project_env: Project) -> None:
    count = 2000
    with witness(project_env.directory) as seen:
        add_monitors(count, seen.url)
        doomed = project_env.start("run_monitors", **SETTINGS)
        others = [
            project_env.start("run_monitors", **SETTINGS),
            project_env.start("qcluster", "--lane", "default", **SETTINGS),
            project_env.start("qcluster", "--lane", "default", **SETTINGS),
        ]
        wait_for(lambda: Monitor.objects.filter(status="up").count() == count, 120, "all are up")
        wait_for(lambda: leased_by(doomed), 60, "it holds some")
        kill(doomed.pid)
        doomed.wait(5)
        seen.flip()
        killed_at = time.monotonic()
        wait_for(
            lambda: Monitor.objects.filter(status="down").count() == count // 2,
            LEASE + INTERVAL + 10,
            "half of them are down",
        )
        time.sleep(max(killed_at + LEASE + INTERVAL - time.monotonic(), 0))
        ended_at = time.monotonic()
        for process in others:
            assert stop(process) == 0, project_env.log(process)
        times = seen.times()

    assert len(times) == count
    overlapping = [
        path
        for path, spans in times.items()
        if any(b[0] < a[1] for a, b in pairwise(sorted(spans)))
    ]
    assert overlapping == []
    gaps = {path: longest_gap(sorted(spans), ended_at) for path, spans in times.items()}
    assert max(gaps.values()) <= INTERVAL + LEASE + 1
    assert not MonitorRun.objects.exclude(lease_by="").exists()  # all were handed back
    assert_each_moved_once(count)


def assert_each_moved_once(count: int) -> None:
    """Every monitor came up once, and every second one went down once."""
    moves = Counter(
        (event["id"], event["status"])
        for event in LiveEvent.objects.filter(topic="monitor").values_list("data", flat=True)
    )
    assert set(moves.values()) == {1}
    assert Counter(status for _, status in moves) == {"up": count, "down": count // 2}
    states: Any = MonitorStateInterval.objects.values("state").annotate(rows=Count("pk"))
    found = {row["state"]: row["rows"] for row in states.order_by()}
    assert found == {"unknown": count, "up": count, "down": count // 2}
    assert MonitorCheck.objects.filter(success=False).count() >= count


def test_sigterm_finishes_what_is_under_way_and_leaves_with_zero(project_env: Project) -> None:
    with witness(project_env.directory) as seen:
        add_monitors(50, seen.url)
        worker = project_env.start("run_monitors", **SETTINGS)
        wait_for(lambda: MonitorCheck.objects.count() >= 50, 60, "each was checked")
        assert stop(worker) == 0, project_env.log(worker)
        assert not MonitorRun.objects.exclude(lease_by="").exists()
        asked = sum(map(len, seen.times().values()))
    assert MonitorCheck.objects.count() == asked  # no answer was thrown away
    assert "job=run_monitors processed=" in project_env.log(worker)


def test_run_once_checks_what_is_due_and_leaves(project_env: Project) -> None:
    with witness(project_env.directory) as seen:
        add_monitors(20, seen.url)
        project_env.manage("run_monitors", "--once", **SETTINGS)
        assert MonitorCheck.objects.count() == 20
        assert Monitor.objects.filter(status="up").count() == 20


def test_a_cluster_checks_monitors_and_says_so(project_env: Project) -> None:
    with witness(project_env.directory) as seen:
        add_monitors(20, seen.url)
        worker = project_env.start("qcluster", "--lane", "default", **SETTINGS)
        wait_for(lambda: MonitorCheck.objects.count() >= 60, 60, "three rounds")
        assert stop(worker) == 0, project_env.log(worker)
        times = seen.times()
    assert all(b[0] >= a[1] for spans in times.values() for a, b in pairwise(sorted(spans)))
