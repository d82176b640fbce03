"""Values as the database in use keeps them, for the statements that are written by hand.

Ask for the `dialect()` once a batch: looking up the connection for each value took 17 % of the time
of settling.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from django.db import connection


class Dialect(Protocol):
    """What differs between the two databases."""

    is_postgresql: bool
    now: str  # SQL for the present instant

    def later(self, seconds: str) -> str:
        """SQL for the present instant plus `seconds`, an SQL expression."""

    def instant(self, value: datetime | None) -> Any:
        """An aware instant, as a parameter."""

    def key(self, value: UUID) -> Any:
        """A primary key, as a parameter and as rows bring it."""


class _PostgreSQL:
    is_postgresql = True
    now = "STATEMENT_TIMESTAMP()"

    def later(self, seconds: str) -> str:
        return f"({self.now} + MAKE_INTERVAL(SECS => {seconds}))"

    def instant(self, value: datetime | None) -> Any:
        return value

    def key(self, value: UUID) -> Any:
        return value


class _SQLite:
    is_postgresql = False
    # 999: see `hostmaster.core.clock.DatabaseNow`.
    now = "(STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW') || '999')"

    def later(self, seconds: str) -> str:
        return f"STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW', ({seconds}) || ' seconds')"

    def instant(self, value: datetime | None) -> Any:
        # Our instants are UTC nearly always; the text goes without "+00:00".
        if value is None:
            return None
        return (value if value.tzinfo is UTC else value.astimezone(UTC)).isoformat(" ")[:-6]

    def key(self, value: UUID) -> Any:
        return value.hex


_POSTGRESQL, _SQLITE = _PostgreSQL(), _SQLite()


def dialect() -> Dialect:
    return _POSTGRESQL if connection.vendor == "postgresql" else _SQLITE


def database_now() -> datetime:
    """The present instant, by the database."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {dialect().now}", [])
        return read_instant(cursor.fetchone()[0])


def read_instant(value: Any) -> datetime:
    """An instant, as a row brings it: SQLite knows no zones, and gives text for an expression."""
    instant = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def read_optional_instant(value: Any) -> datetime | None:
    return None if value is None else read_instant(value)


def read_key(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(hex=value)
