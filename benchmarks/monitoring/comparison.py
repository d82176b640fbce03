"""One run: cost beside the exporter, then 10,000 monitors on time, then their list."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.databases import ServerMissingError, server
from benchmarks.machine import describe_machine, load
from benchmarks.monitoring import ours, peer, scale
from benchmarks.monitoring.figures import Cost
from benchmarks.monitoring.programs import ProgramMissingError, Site, exporter, site, unpack

# CPU seconds a 1,000 checks on SQLite; how much better than the exporter.
AIMS = {"HTTP": (0.10, 3.0), "HTTPS": (0.70, 1.4)}
ROWS = 1_000_000


def main() -> int:
    options = parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is stopped
    print(f"load before: {load()}")
    try:
        with tempfile.TemporaryDirectory(prefix="hostmaster-benchmark.") as name:
            report = run(Path(name), options)
    except (ProgramMissingError, ServerMissingError, TimeoutError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"load after: {load()}")
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks/monitors.py",
        description="CPU of a check beside the blackbox exporter; 10,000 monitors on time.",
    )
    parser.add_argument("--seconds", type=float, default=20, help="of each cost figure")
    parser.add_argument("--rate", type=int, default=600, help="HTTP monitors, each once a second")
    parser.add_argument("--tls-rate", type=int, default=200, help="the same for HTTPS")
    parser.add_argument("--monitors", type=int, default=10_000, help="at 30 s; 0: leave it out")
    parser.add_argument("--scale-seconds", type=float, default=300)
    parser.add_argument("--rows", type=int, default=ROWS, help="of checks beside the list")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args(arguments)


def run(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    folder.chmod(0o755)
    unpack(folder, "prometheus-blackbox-exporter", "nginx")
    with site(folder) as running_site:
        report: dict[str, Any] = {"cost": compare(folder, running_site, options)}
        if options.monitors:
            report |= on_time(folder, running_site, options)
    return report


def compare(folder: Path, watched: Site, options: argparse.Namespace) -> dict[str, Any]:
    rates = {"HTTP": options.rate, "HTTPS": options.tls_rate}
    report: dict[str, Any] = {}
    for name, url in (("HTTP", watched.http), ("HTTPS", watched.https)):
        with exporter(folder, watched.roots) as (port, pid):
            theirs = peer.measure(port, pid, url, options.seconds)
        costs: dict[str, Cost] = {"exporter": theirs}
        for kind in ("sqlite", "postgresql"):
            with tempfile.TemporaryDirectory(dir=folder) as inner, server(kind, Path(inner)) as at:
                costs[kind], memory = ours.measure(
                    at, watched, url, rates[name], options.seconds, folder
                )
                print(describe_machine(at))
        print_costs(name, costs, memory)
        report[name] = {kind: asdict(cost) for kind, cost in costs.items()} | {"memory_mb": memory}
    return report


def print_costs(name: str, costs: dict[str, Cost], memory: float) -> None:
    most, better = AIMS[name]
    theirs = costs["exporter"].cpu_per_1000
    table = Table(title=f"{name}: CPU seconds a 1,000 checks (ours with all they store)")
    for heading in ("", "checks/s", "CPU s", "database CPU s", "exporter ÷ ours", "met"):
        table.add_column(heading, justify="left" if not heading else "right")
    for kind, cost in costs.items():
        ratio = theirs / cost.cpu_per_1000
        is_aimed = kind == "sqlite"
        met = "yes" if cost.cpu_per_1000 <= most and ratio >= better else "no"
        table.add_row(
            kind,
            f"{cost.per_second:.0f}",
            f"{cost.cpu_per_1000:.3f}",
            f"{cost.database_cpu_per_1000:.3f}",
            f"{ratio:.2f}",
            f"{met} (≤ {most}, ≥ {better})" if is_aimed else "",
        )
    Console().print(table)
    print(f"memory of the worker: {memory:.0f} MB")


def on_time(folder: Path, watched: Site, options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=folder) as name, server("postgresql", Path(name)) as at:
        found = scale.measure(at, watched, options.monitors, options.scale_seconds, folder)
        print(
            f"{found.monitors} monitors at 30 s, {found.checks} checks, one of two workers killed: "
            f"lag p50 {found.lag_p50:.2f} s, p99 {found.lag_p99:.2f} s (aim 2), longest gap "
            f"{found.longest_gap:.0f} s (at most 60), worker {found.memory_mb:.0f} MB (aim 512), "
            f"{found.cpu_percent:.0f} % of a core, database {found.database_cpu_percent:.0f} %"
        )
        lists = list_pages(ours.install(at, watched), watched, options)
    return {"scale": asdict(found), "lists": lists}


def list_pages(made: ours.Installation, watched: Site, options: argparse.Namespace) -> Any:
    made.add_monitors(options.monitors, watched.http, 30)
    made.execute(
        "INSERT INTO monitor_checks (id, monitor_id, checked_at, success, response_time_ms) "
        "SELECT gen_random_uuid(), m.id, now() - n * interval '30 seconds', true, 12 "
        "FROM monitors m, generate_series(1, %s) n",
        options.rows // options.monitors,
    )
    made.execute("ANALYZE")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.monitoring.pages"],
        cwd=ours.ROOT,
        env=made.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
        return None
    lists = json.loads(done.stdout.splitlines()[-1])
    for page, times in lists.items():
        print(
            f"list of {options.monitors} monitors beside {options.rows} checks, {page}: "
            f"p50 {times['p50_ms']:.0f} ms, p95 {times['p95_ms']:.0f} ms (aim 200)"
        )
    return lists
