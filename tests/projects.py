"""A database of its own for a test that starts real processes, and the way to start them."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import environ
import psycopg
from django.contrib.contenttypes.models import ContentType
from django.db import connections
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent

# Everything that waits waits shorter, in the proportions of the defaults.
SHORT_INTERVALS = {
    "LEASE_SECONDS": "3",
    "LEASE_RENEW_SECONDS": "0.5",
    "TICK_SECONDS": "0.2",
    "HEARTBEAT_SECONDS": "2",
    "WATCHDOG_SECONDS": "10",
    "RETRY_DELAY": "100",
    "SHUTDOWN_GRACE_SECONDS": "8",
}


@dataclass
class Project:
    """One database, the environment that names it, and the processes started with it."""

    database: str  # "sqlite" or "postgresql"
    directory: Path
    environment: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    logs: dict[int, Path] = field(default_factory=dict)

    @property
    def database_url(self) -> str:
        return self.environment["DATABASE_URL"]

    @property
    def database_name(self) -> str:
        """Of SQLite, its path."""
        return str(environ.Env.db_url_config(self.database_url)["NAME"])

    def manage(
        self, *arguments: str, timeout: float = 120, check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `manage.py` to its end. Fails the test with its output when `check` and it failed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check:
            assert done.returncode == 0, (
                f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start `manage.py` in a process group of its own; its output goes to `log(process)`.

        Whatever is left of the group when the test ends is killed.
        """
        output = self.directory / f"{arguments[0]}-{len(self.processes)}.log"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "manage.py", *arguments],
                cwd=ROOT,
                env=self.environment | environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        self.logs[process.pid] = output
        return process

    def log(self, process: subprocess.Popen[bytes]) -> str:
        return self.logs[process.pid].read_text(errors="replace")

    def kill_leftovers(self) -> None:
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=60)

    @contextmanager
    def orm(self) -> Iterator[None]:
        """Within it, the ORM of the test itself works on this project's database."""
        original = connections.settings["default"]
        connections["default"].close()
        connections.settings["default"] = original | self._database_settings()
        del connections["default"]
        ContentType.objects.clear_cache()
        try:
            yield
        finally:
            connections["default"].close()
            connections.settings["default"] = original
            del connections["default"]
            ContentType.objects.clear_cache()

    def _database_settings(self) -> dict[str, object]:
        options: dict[str, object] = {}
        if self.database == "sqlite":
            options = {
                "timeout": 20,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            }
        parsed: dict[str, object] = environ.Env.db_url_config(self.database_url)
        return {"OPTIONS": options, "HOST": "", "PORT": "", "USER": "", "PASSWORD": ""} | parsed


class ProjectMaker:
    """Migrates once for each kind of database, then hands out copies.

    `shared` is a folder through which all processes of a run know the one that was migrated.
    """

    def __init__(self, directory: Path, postgresql_url: str | None, shared: Path | None) -> None:
        self.directory = directory
        self.postgresql_url = postgresql_url
        self.is_shared = shared is not None
        self._template_folder = shared or directory / "templates"

    def make(self, database: str) -> Project:
        return self._new(database, self.template(database))

    def template(self, database: str) -> Project:
        """A migrated database that nobody changes. Whoever comes first makes it."""
        folder = self._template_folder
        folder.mkdir(exist_ok=True)
        note = folder / f"{database}.url"
        with (folder / f"{database}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not note.exists():
                made = self._new(database, None, folder)
                made.manage("migrate", "--verbosity", "0", timeout=180)
                note.write_text(made.database_url)
        return Project(database, folder, project_environment(note.read_text()))

    def drop(self, project: Project) -> None:
        if project.database == "postgresql":
            self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", project.database_name)

    def drop_templates(self) -> None:
        """Of the last user. Those of a run end with its server and its folder."""
        for note in [] if self.is_shared else self._template_folder.glob("*.url"):
            self.drop(self.template(note.stem))

    def _new(self, database: str, template: Project | None, place: Path | None = None) -> Project:
        name = f"hostmaster_{uuid4().hex[:12]}"
        directory = (place or self.directory) / name
        directory.mkdir()
        if database == "sqlite":
            url = f"sqlite:///{directory / 'db.sqlite3'}"
            if template:
                shutil.copy(template.database_name, directory / "db.sqlite3")
        else:
            url = self._create_postgresql(name, template)
        return Project(database, directory, project_environment(url))

    def _create_postgresql(self, name: str, template: Project | None) -> str:
        source = template.database_name if template else "template1"
        self._execute("CREATE DATABASE {} TEMPLATE {}", name, source)
        assert self.postgresql_url
        return self.postgresql_url.replace("/postgres?", f"/{name}?")

    def _execute(self, statement: str, *names: str) -> None:
        assert self.postgresql_url
        with psycopg.connect(self.postgresql_url, autocommit=True) as connection:
            identifiers = [sql.Identifier(name) for name in names]
            connection.execute(sql.SQL(statement).format(*identifiers))


def project_environment(database_url: str) -> dict[str, str]:
    kept = {
        name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ
    }
    return (
        kept
        | SHORT_INTERVALS
        | {
            "DJANGO_SETTINGS_MODULE": "tests.process_settings",
            "PYTHONUNBUFFERED": "1",
            "DOTENV_PATH": os.devnull,
            "ENV": "development",
            "DEBUG": "false",
            "START_WORKERS": "false",
            "DATABASE_URL": database_url,
            "SECRET_KEY": os.environ["SECRET_KEY"],
            "ENCRYPTION_KEY": os.environ["ENCRYPTION_KEY"],
        }
    )
