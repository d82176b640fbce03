"""hostmaster: a migrated database with monitors in it, and `run_monitors` at work."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import psycopg

from benchmarks.databases import Server
from benchmarks.monitoring.figures import Cost
from benchmarks.monitoring.programs import Site
from benchmarks.processes import MEGABYTE, cpu_seconds, running

ROOT = Path(__file__).resolve().parent.parent.parent
KEYWORD = '"status":"ok"'  # the exporter is given the same, as a regular expression
WARM_UP_SECONDS = 6.0


@dataclass(frozen=True)
class Installation:
    """One migrated database and the environment of its processes."""

    server: Server
    url: str
    environment: dict[str, str]

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Plain SQL, as any other program would use it."""
        if self.server.kind == "postgresql":
            with psycopg.connect(self.url, autocommit=True) as connection:
                cursor = connection.execute(statement, values)
                return cursor.fetchall() if cursor.description else []
        path = self.url.removeprefix("sqlite:///")
        lite = sqlite3.connect(path, timeout=20)
        try:
            rows = lite.execute(statement.replace("%s", "?"), values).fetchall()
            lite.commit()
        finally:
            lite.close()
        return rows

    def execute_many(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        if self.server.kind == "postgresql":
            with psycopg.connect(self.url) as connection, connection.cursor() as cursor:
                cursor.executemany(statement, rows)
            return
        lite = sqlite3.connect(self.url.removeprefix("sqlite:///"), timeout=20)
        try:
            lite.executemany(statement.replace("%s", "?"), rows)
            lite.commit()
        finally:
            lite.close()

    def key(self) -> str:
        return uuid4().hex

    def add_monitors(self, count: int, url: str, interval_seconds: int) -> None:
        tenant = self.key()
        self.execute(
            "INSERT INTO tenants (id, name, created_at) VALUES (%s, %s, %s)",
            tenant,
            f"Tenant {tenant}",
            "2026-01-01 00:00:00+00:00"
            if self.server.kind == "postgresql"
            else "2026-01-01 00:00:00",
        )
        self.execute_many(
            "INSERT INTO monitors (id, tenant_id, name, url, interval_seconds, keyword)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [
                (self.key(), tenant, f"Monitor {n}", url, interval_seconds, KEYWORD)
                for n in range(count)
            ],
        )

    def checked(self) -> int:
        """Checks that succeeded, from the counter rows."""
        rows = self.execute(
            "SELECT value FROM metric_counters WHERE name = 'monitor_checks_total' AND labels = %s",
            '{"result":"success"}',
        )
        return int(rows[0][0]) if rows else 0

    def lags(self) -> dict[str, float]:
        rows = self.execute(
            "SELECT labels, value FROM metric_counters WHERE name = 'monitor_lag_seconds_bucket'"
        )
        return {json.loads(labels)["le"].replace("+Inf", "inf"): value for labels, value in rows}

    @contextmanager
    def worker(self, log: Path) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "manage.py", "run_monitors"]
        with running(command, ROOT, self.environment, log) as process:
            yield process


def install(server: Server, site: Site, **settings: str) -> Installation:
    url = server.create_database()
    environment = {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "hostmaster.settings",
        "DOTENV_PATH": os.devnull,
        "DATABASE_URL": url,
        "SECRET_KEY": "b" * 50,
        "ENCRYPTION_KEY": "0123456789abcdef" * 4,
        "LOG_LEVEL": "WARNING",
        "SSL_CERT_FILE": str(site.roots),
        "HOSTMASTER_ALLOWED_NETWORKS": "127.0.0.1/32",
        **settings,
    }
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=ROOT,
        env=environment,
        check=True,
    )
    return Installation(server, url, environment)


def measure(
    server: Server, site: Site, url: str, monitors: int, seconds: float, folder: Path
) -> tuple[Cost, float]:
    """Each monitor once a second by one worker: the cost of its checks from claim to roll-up, and
    its memory in MB."""
    made = install(server, site, MONITOR_HOST_CONCURRENCY="500")
    made.add_monitors(monitors, url, 1)
    with made.worker(folder / "worker.log") as process:
        _wait_until_all_were_checked(made, monitors)
        time.sleep(WARM_UP_SECONDS)
        checks, cpu = made.checked(), cpu_seconds(process.pid)
        database = cpu_seconds(server.pid) if server.pid else 0.0
        started = time.monotonic()
        time.sleep(seconds)
        elapsed = time.monotonic() - started
        cost = Cost(
            made.checked() - checks,
            cpu_seconds(process.pid) - cpu,
            elapsed,
            (cpu_seconds(server.pid) if server.pid else 0.0) - database,
        )
        memory = psutil.Process(process.pid).memory_info().rss / MEGABYTE
    return cost, memory


def _wait_until_all_were_checked(made: Installation, monitors: int, seconds: float = 90) -> None:
    ends = time.monotonic() + seconds
    while made.checked() < monitors:
        if time.monotonic() > ends:
            raise TimeoutError(f"only {made.checked()} of {monitors} monitors were checked")
        time.sleep(0.2)
