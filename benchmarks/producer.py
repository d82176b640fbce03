"""What enqueues the jobs of a benchmark and reads when they started: `python -m
benchmarks.producer WORK JOBS RATE`, a process of its own, because one process holds one settings
module. Answers in JSON.
"""

from __future__ import annotations

import json
import random
import sys
import time
from importlib import import_module
from typing import Any

import django
from django.db.models import Count, Min
from django.utils import timezone

GIVE_UP_SECONDS = 45.0  # after the last job was enqueued; what is done by then is counted
LOOK_SECONDS = 0.05


def main() -> None:
    django.setup()
    work, jobs, rate = import_module(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    json.dump(produce(work, jobs, rate), sys.stdout)


def produce(work: Any, jobs: int, rate: float) -> dict[str, Any]:
    """Enqueue `jobs` jobs, `rate` a second (0: one after the other) and wait for the last.

    Latencies are from just before the job's row is written to its handler's first line.
    """
    from benchmarks.work.models import Start  # needs the apps loaded

    work.prepare()
    Start.objects.all().delete()
    started = time.monotonic()
    sent = {}
    for number in range(jobs):
        if rate:
            _wait_for_turn(started, number, rate)
        sent[number] = timezone.now()
        work.enqueue(number)
    enqueued = time.monotonic()
    _wait_for_end(work)
    ended = time.monotonic()
    rows = Start.objects.values("number").annotate(first=Min("at"), times=Count("pk"))
    starts = {row["number"]: row for row in rows}
    late = [(row["first"] - sent[number]).total_seconds() for number, row in starts.items()]
    return {
        "seconds": ended - started,
        "enqueue_seconds": enqueued - started,
        "latencies_ms": [1000 * seconds for seconds in late],
        "not_started": jobs - len(starts),
        "started_again": sum(row["times"] - 1 for row in starts.values()),
        "unfinished": work.count_unfinished(),
        "failed": work.count_failed(),
    }


def _wait_for_turn(started: float, number: int, rate: float) -> None:
    """Evenly spread, each moved by up to half a gap, so as not to march in step with a poll."""
    due = started + (number + random.random() / 2) / rate
    time.sleep(max(due - time.monotonic(), 0))


def _wait_for_end(work: Any) -> None:
    ends = time.monotonic() + GIVE_UP_SECONDS
    while work.count_unfinished() and time.monotonic() < ends:
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main()
