"""A scan of one account by hostmaster, by boto3 in sequence, by Cloud Custodian, in one run."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import django

from benchmarks.aws import custodian
from benchmarks.aws.contestants import (
    Endpoint,
    Result,
    measure_custodian,
    measure_ours,
    measure_sequential,
    record_ours,
    replaying,
)
from benchmarks.aws.measure import ContestantError
from benchmarks.databases import Server, server
from benchmarks.machine import describe_machine, load, run_measured

KINDS = ("sqlite", "postgresql")
COPIES = 10


def main() -> int:
    options = parse(sys.argv[1:])
    os.environ |= {"DJANGO_SETTINGS_MODULE": "hostmaster.settings", "DOTENV_PATH": os.devnull}
    os.environ |= {"ENV": "development", "DEBUG": "true"}  # of this process: the simulator's start
    django.setup()

    def run_in_folder() -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="hostmaster-benchmark.") as folder:
            return run(options, Path(folder))

    return run_measured(run_in_folder, ContestantError, options.json)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks/aws_scan.py",
        description="Wall, CPU and memory of one scan beside boto3 and Cloud Custodian.",
    )
    parser.add_argument("--database", choices=[*KINDS, "both"], default="both")
    parser.add_argument(
        "--runs", type=int, default=3, help="of the same four kinds; medians are shown"
    )
    parser.add_argument("--delay-ms", type=float, default=120, help="added to each call")
    parser.add_argument("--no-tenfold", action="store_true", help="leave out ten times as much")
    parser.add_argument("--no-everything", action="store_true", help="only the same four kinds")
    parser.add_argument(
        "--everything-tenfold", action="store_true", help="that too: 10 minutes and more"
    )
    parser.add_argument("--custodian", type=Path, help="the program, instead of installing it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    # Late: these need Django's settings.
    from benchmarks.aws.estate import fill
    from benchmarks.aws.report import judge, print_results
    from scans.aws.simulator import start_simulator

    with ExitStack() as stack:
        servers = [stack.enter_context(server(kind, folder)) for kind in _kinds(options)]
        simulator = stack.enter_context(start_simulator())
        _say("filling the simulator")
        fill(simulator.endpoint_url)
        delay = options.delay_ms / 1000
        once, tenfold = (
            stack.enter_context(replaying(simulator.endpoint_url, delay, copies))
            for copies in (1, COPIES)
        )
        results, problem = _peers(options, folder, once)
        results |= _ours(options, servers, once, tenfold)
        machine = describe_machine(servers[-1])
    aims = judge(results, _kinds(options))
    print_results(results, aims)
    if problem:
        print(problem)
    print(machine)
    return {
        "machine": machine,
        "delay_ms": options.delay_ms,
        "runs": options.runs,
        "problem": problem,
        "aims": [asdict(aim) for aim in aims],
        "results": {name: asdict(result) for name, result in results.items()},
    }


def _kinds(options: argparse.Namespace) -> tuple[str, ...]:
    return KINDS if options.database == "both" else (options.database,)


def _peers(
    options: argparse.Namespace, folder: Path, endpoint: Endpoint
) -> tuple[dict[str, Result], str]:
    _say("boto3")
    results = [measure_sequential(endpoint, options.runs)]
    problem = ""
    try:
        program = options.custodian or custodian.install(folder)
        _say("Cloud Custodian")
        results.append(measure_custodian(program, folder, endpoint, options.runs))
    except custodian.CustodianMissingError as error:
        problem = str(error)
    except ContestantError as error:
        problem = f"Cloud Custodian did not work: {error}"
    return {result.name: result for result in results}, problem


def _ours(
    options: argparse.Namespace, servers: list[Server], once: Endpoint, tenfold: Endpoint
) -> dict[str, Result]:
    rounds = [("four", "", once)]
    if not options.no_tenfold:
        rounds.append(("four", f", {COPIES}x", tenfold))
    if not options.no_everything:
        rounds.append(("everything", "", once))
    if options.everything_tenfold:
        rounds.append(("everything", f", {COPIES}x", tenfold))
    results: list[Result] = []
    for verb, size, endpoint in rounds:
        _say(f"recording {verb}{size}")
        record_ours(verb, servers[0], endpoint)
        is_main = (verb, size) == ("four", "")
        for opened in servers:
            name = f"hostmaster, {verb}, {opened.kind}{size}"
            _say(name)
            runs = options.runs if is_main else 1
            results += measure_ours(name, verb, opened, endpoint, runs, again=is_main)
    return {result.name: result for result in results}


def _say(what: str) -> None:
    print(f"{what}, load {load()}", file=sys.stderr)
