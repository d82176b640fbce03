"""Values as the database in use keeps them, for the statements that are written by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connection

# The sweep's statements run each second: these few words are all that differs.
_POSTGRESQL_NOW = "STATEMENT_TIMESTAMP()"
# 999: see `hostmaster.core.clock.DatabaseNow`.
_SQLITE_NOW = "(STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW') || '999')"


def is_postgresql() -> bool:
    return connection.vendor == "postgresql"


def now_sql() -> str:
    """SQL for the present instant, by the database."""
    return _POSTGRESQL_NOW if is_postgresql() else _SQLITE_NOW


def later_sql(seconds: str) -> str:
    """SQL for the present instant plus `seconds`, an SQL expression."""
    if is_postgresql():
        return f"({_POSTGRESQL_NOW} + MAKE_INTERVAL(SECS => {seconds}))"
    return f"STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW', ({seconds}) || ' seconds')"


def database_now() -> datetime:
    """The present instant, by the database."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {now_sql()}", [])
        return read_instant(cursor.fetchone()[0])


def put_instant(value: datetime | None) -> Any:
    """An aware instant, as a parameter."""
    if value is None or is_postgresql():
        return value
    return value.astimezone(UTC).isoformat(" ")[:-6]  # without "+00:00"


def put_key(value: UUID) -> Any:
    return value if is_postgresql() else value.hex


def read_instant(value: Any) -> datetime:
    """An instant, as a row brings it: SQLite knows no zones, and gives text for an expression."""
    instant = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def read_optional_instant(value: Any) -> datetime | None:
    return None if value is None else read_instant(value)


def read_key(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(hex=value)


def read_flag(value: Any) -> bool | None:
    return None if value is None else bool(value)


def read_json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
