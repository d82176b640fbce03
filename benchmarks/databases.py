"""A fresh database for each contestant."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql

HERE = Path(__file__).resolve().parent


class ServerMissingError(Exception):
    """PostgreSQL could not be started; its own words are above."""


@dataclass(frozen=True)
class Server:
    """Where databases are made. SQLite is a folder and no process."""

    kind: str  # "sqlite" or "postgresql"
    folder: Path
    url: str = ""
    pid: int | None = None

    def create_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"benchmark_{uuid4().hex[:12]}"
        if self.kind == "sqlite":
            return f"sqlite:///{self.folder / name}.sqlite3"
        self.ask(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url.replace("/postgres?", f"/{name}?")

    def ask(self, statement: sql.SQL | sql.Composed) -> str:
        """The first column of the first row, as text."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            row = cursor.fetchone() if cursor.description else None
        return str(row[0]) if row else ""


@contextmanager
def server(kind: str, folder: Path) -> Iterator[Server]:
    if kind == "sqlite":
        yield Server(kind, folder)
        return
    with _postgresql(folder) as started:
        yield started


@contextmanager
def _postgresql(folder: Path) -> Iterator[Server]:
    """It leaves when its standard input closes: at the end, and should this process die."""
    with subprocess.Popen(
        [str(HERE / "postgresql"), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for us; the server is still needed while we stop
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url, pid = process.stdout.readline().strip(), process.stdout.readline().strip()
        if not pid:
            raise ServerMissingError(str(ServerMissingError.__doc__))
        try:
            yield Server("postgresql", folder, url, int(pid))
        finally:
            process.stdin.close()
            process.wait()
