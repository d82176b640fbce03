"""What enqueues the jobs of a benchmark and reads when they started: `python -m
benchmarks.producer WORK JOBS RATE SECONDS`, a process of its own, because one process holds one
settings module. Answers in JSON.
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

LOOK_SECONDS = 0.05


def main() -> None:
    django.setup()
    work, jobs = import_module(sys.argv[1]), int(sys.argv[2])
    rate, seconds = float(sys.argv[3]), float(sys.argv[4])
    json.dump(produce(work, jobs, rate, seconds), sys.stdout)


def produce(work: Any, jobs: int, rate: float, seconds: float) -> dict[str, Any]:
    """Enqueue `jobs` jobs, `rate` a second (0: one after the other) and wait for the last, but no
    longer than `seconds` in all.

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
        if time.monotonic() - started > seconds:
            break
        sent[number] = timezone.now()
        work.enqueue(number)
    enqueued = time.monotonic()
    while work.count_unfinished() and time.monotonic() - started < seconds:
        time.sleep(LOOK_SECONDS)
    ended, unfinished = time.monotonic(), work.count_unfinished()
    rows = Start.objects.values("number").annotate(first=Min("at"), times=Count("pk"))
    starts = {row["number"]: row for row in rows}
    late = [(row["first"] - sent[number]).total_seconds() for number, row in starts.items()]
    return {
        "seconds": ended - started,
        "enqueue_seconds": enqueued - started,
        "enqueued": len(sent),
        "latencies_ms": [1000 * seconds for seconds in late],
        "not_started": len(sent) - len(starts),
        "started_again": sum(row["times"] - 1 for row in starts.values()),
        "unfinished": unfinished,
        "failed": work.count_failed(),
    }


def _wait_for_turn(started: float, number: int, rate: float) -> None:
    """Evenly spread, each moved by up to half a gap, so as not to march in step with a poll."""
    due = started + (number + random.random() / 2) / rate
    time.sleep(max(due - time.monotonic(), 0))


if __name__ == "__main__":
    main()
