"""What the figures were taken on."""

from __future__ import annotations

import json
import os
import platform
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from psycopg import sql

from benchmarks.databases import Server, ServerMissingError


def describe_machine(server: Server) -> str:
    """One line: without it a figure says nothing."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("Django", "django-q2"))
    return (
        f"{_cpu_model()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {packages}, {_describe_database(server)}"
    )


def run_measured(
    run: Callable[[], dict[str, Any]], told: type[Exception], json_file: Path | None
) -> int:
    """Run a benchmark, say how loaded the machine was, write its report; the exit code.

    Errors of the kind `told` end it with their one line.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is stopped
    started, load_before = time.monotonic(), load()
    try:
        report = run()
    except (told, ServerMissingError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    minutes = (time.monotonic() - started) / 60
    print(f"load before {load_before}, after {load()}; {minutes:.1f} minutes in all")
    if json_file:
        report |= {"load_before": load_before, "load_after": load(), "minutes": minutes}
        json_file.write_text(json.dumps(report, indent=2) + "\n")
    return 0


def load() -> str:
    """Waiting and running processes of the whole machine, mean of one and of five minutes."""
    one, five, _ = os.getloadavg()
    return f"{one:.1f} (1 min) {five:.1f} (5 min)"


def _describe_database(server: Server) -> str:
    if server.kind == "sqlite":
        return f"SQLite {sqlite3.sqlite_version}"
    release = server.ask(sql.SQL("SHOW server_version")).split()[0]
    fsync = server.ask(sql.SQL("SHOW fsync"))
    return f"PostgreSQL {release} with fsync {fsync}"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown CPU"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown CPU"
