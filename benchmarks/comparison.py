"""hostmaster's `qcluster` beside stock django-q2, in one run, on SQLite and PostgreSQL."""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.contest import OURS, PEER, ContestError, Plan, Result, run_contestant
from benchmarks.databases import Server, server
from benchmarks.machine import describe_machine, load, run_measured
from benchmarks.report import compare_lines, print_comparison
from hostmaster.core.jobs.lanes import Lane

KINDS = ("sqlite", "postgresql")


def main() -> int:
    options = parse(sys.argv[1:])
    return run_measured(lambda: run(options), ContestError, options.json)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks/jobs.py",
        description="Start latency, jobs/s and idle cost of qcluster beside stock django-q2.",
    )
    parser.add_argument("--database", choices=[*KINDS, "both"], default="both")
    parser.add_argument("--lane", choices=[lane.value for lane in Lane], default=Lane.SCANS.value)
    parser.add_argument("--probes", type=int, default=200, help="jobs whose start is timed")
    parser.add_argument("--rate", type=float, default=25, help="probes a second")
    parser.add_argument("--jobs", type=int, default=2000, help="jobs due at once")
    parser.add_argument("--idle-seconds", type=float, default=30)
    parser.add_argument("--peer-first", action="store_true", help="turn the order round")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> dict[str, object]:
    """Each database in turn, the contestants in another order on each."""
    plan = Plan(options.probes, options.rate, options.jobs, options.idle_seconds, options.lane)
    kinds = KINDS if options.database == "both" else (options.database,)
    databases: dict[str, object] = {}
    for position, kind in enumerate(kinds):
        with (
            tempfile.TemporaryDirectory(prefix="hostmaster-benchmark.") as folder,
            server(kind, Path(folder)) as opened,
        ):
            machine = describe_machine(opened)
            results = compare(opened, plan, peer_first=options.peer_first ^ bool(position % 2))
        print_comparison(kind, results, plan)
        print(machine)
        databases[kind] = {
            "machine": machine,
            "lines": [asdict(line) for line in compare_lines(kind, results)],
            "results": {name: asdict(result) for name, result in results.items()},
        }
    return {"plan": asdict(plan), "databases": databases}


def compare(opened: Server, plan: Plan, *, peer_first: bool) -> dict[str, Result]:
    """Both contestants, one after the other, so that neither disturbs the other."""
    order = (PEER, OURS) if peer_first else (OURS, PEER)
    results: dict[str, Result] = {}
    for contestant in order:
        print(f"{opened.kind}: {contestant.name}, load {load()}", file=sys.stderr)
        results[contestant.name] = run_contestant(contestant, opened, plan)
    return results
