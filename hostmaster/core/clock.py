"""The database's clock, which alone decides about leases: hosts may drift, the database is one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import DateTimeField, Expression, ExpressionWrapper, Func
from django.db.models.sql.compiler import SQLCompiler


class DatabaseNow(Func):
    """The instant the statement runs, by the database.

    SQLite's clock has milliseconds only. Filling up with 999 keeps a row that Python stamped
    earlier in the same millisecond due, instead of late by one sweep.
    """

    template = "STATEMENT_TIMESTAMP()"
    arity = 0
    output_field = DateTimeField()

    def as_sqlite(self, compiler: SQLCompiler, connection: Any, **extra: Any) -> Any:
        template = "(STRFTIME('%%%%Y-%%%%m-%%%%d %%%%H:%%%%M:%%%%f', 'NOW') || '999')"
        return self.as_sql(compiler, connection, template=template, **extra)


def database_now(offset: timedelta = timedelta()) -> Expression:
    """An expression for the database's present instant plus `offset`."""
    if not offset:
        return DatabaseNow()
    return ExpressionWrapper(DatabaseNow() + offset, output_field=DateTimeField())
