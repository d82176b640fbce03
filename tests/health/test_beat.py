"""Heartbeats: who writes them, when, and that they never hurt the worker."""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
from datetime import timedelta

import psutil
import pytest
from django.utils import timezone
from django_q.signals import post_execute_in_worker, post_spawn

from hostmaster.core.health import heartbeats
from hostmaster.core.health.models import Heartbeat
from hostmaster.core.jobs.lanes import Lane

FORK = multiprocessing.get_context("fork")


@pytest.mark.django_db
@pytest.mark.both_databases
def test_a_beat_tells_who_this_process_is_and_what_it_costs() -> None:
    heartbeats.beat("lane", Lane.ALERTS)
    row = Heartbeat.objects.get()
    assert (row.kind, row.lane, row.pid) == ("lane", "alerts", os.getpid())
    assert row.host == socket.gethostname()
    assert row.rss_bytes > 1_000_000
    assert row.cpu_seconds > 0
    started = psutil.Process().create_time()
    assert row.started_at.timestamp() == pytest.approx(started, abs=1)
    assert timezone.now() - row.beat_at < timedelta(seconds=10)


@pytest.mark.django_db
@pytest.mark.both_databases
def test_the_next_beat_renews_the_same_row() -> None:
    heartbeats.beat("supervisor", name="one")
    long_ago = timezone.now() - timedelta(hours=1)
    Heartbeat.objects.update(beat_at=long_ago)
    heartbeats.beat("supervisor", name="one", jobs_done=4)
    row = Heartbeat.objects.get()
    assert row.beat_at > long_ago
    assert row.jobs_done == 4


@pytest.mark.django_db
def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="prober"):
        heartbeats.beat("prober")


@pytest.mark.django_db
@pytest.mark.both_databases
def test_only_dead_processes_of_this_host_and_lane_are_buried() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = socket.gethostname()
    for name, lane, host, pid in [
        ("dead", "scans", here, ended.pid),
        ("alive", "scans", here, os.getpid()),
        ("dead in another lane", "alerts", here, ended.pid),
        ("elsewhere", "scans", "another-host", ended.pid),
    ]:
        Heartbeat.objects.create(name=name, kind="worker", lane=lane, host=host, pid=pid)
    heartbeats.bury_dead_neighbours("worker", "scans")
    names = set(Heartbeat.objects.values_list("name", flat=True))
    assert names == {"alive", "dead in another lane", "elsewhere"}


@pytest.mark.django_db
@pytest.mark.both_databases
def test_a_lane_beats_for_its_workers_and_buries_them() -> None:
    """As django-q2 tells a worker: `post_spawn` once, `post_execute_in_worker` after each task."""
    ready, leave = FORK.Event(), FORK.Event()

    def work() -> None:
        post_spawn.send(sender="django_q", proc_name="Process-1")
        for _ in range(3):
            post_execute_in_worker.send(sender="django_q", func=None, task={})
        ready.set()
        leave.wait(30)
        os._exit(0)  # not the parent's exit handlers

    worker, bystander = FORK.Process(target=work), FORK.Process(target=leave.wait, args=(30,))
    worker.start()
    bystander.start()
    assert ready.wait(30)
    assert heartbeats.beat_workers("scans") == 1
    row = Heartbeat.objects.get()
    assert (row.kind, row.lane, row.pid, row.jobs_done) == ("worker", "scans", worker.pid, 3)
    assert row.rss_bytes > 1_000_000
    leave.set()
    worker.join()
    bystander.kill()
    bystander.join()
    assert heartbeats.beat_workers("scans") == 0
    assert not Heartbeat.objects.exists()
