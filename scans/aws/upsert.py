"""Writes many rows of a table at once: new ones are inserted, known ones updated.

Django's `bulk_create` makes an object of each row and an expression of each value, and says so to
SQLite in statements of 40 rows: three times as much work for a scan's rows as this is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, models, transaction

Row = Mapping[str, Any]  # values by the names of columns
Prepare = Callable[[Any], Any]


@dataclass(frozen=True)
class Upsert:
    """INSERT … ON CONFLICT (`unique`) DO UPDATE SET `updated`, all by the names of columns.

    `computed`: SQL for columns of known rows; in it `{old}` is the row that is there, `{new}` the
    one that was given.
    """

    model: type[models.Model]
    unique: Sequence[str]
    updated: Sequence[str]
    computed: Mapping[str, str] = field(default_factory=dict)

    def write(self, rows: Sequence[Row], **shared: Any) -> None:
        """Rows of the same columns, no two of the same `unique`. `shared`: what is alike in all of
        them. Whatever neither names has the model's default."""
        if not rows:
            return
        table = _Table(self.model)
        named = list(rows[0])
        common = {**table.defaults_but({*named, *shared}), **shared}
        prepared = {name: table.prepare(name)(value) for name, value in common.items()}
        prepare = [(name, table.prepare(name)) for name in named]
        values = [[prepare(row[name]) for name, prepare in prepare] for row in rows]
        if (key := table.made_key) and key not in named:
            named, made = [key, *named], table.prepare(key)
            values = [[made(table.new_key()), *row] for row in values]
        with transaction.atomic(), connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                # One parameter a column: the server plans one small statement.
                source = table.unnested(list(prepared), named)
                columns = [list(column) for column in zip(*values, strict=True)]
                sql = self._sql(table, [*prepared, *named], source)
                cursor.execute(sql, [*prepared.values(), *columns])
            else:
                marks = ", ".join(["%s"] * (len(prepared) + len(named)))
                sql = self._sql(table, [*prepared, *named], f"VALUES ({marks})")
                alike = list(prepared.values())
                cursor.executemany(sql, [alike + row for row in values])

    def _sql(self, table: _Table, names: Sequence[str], source: str) -> str:
        changes = {name: f"EXCLUDED.{_quoted(name)}" for name in self.updated}
        for name, expression in self.computed.items():
            changes[name] = expression.format(old=table.name, new="EXCLUDED")
        changed = ", ".join(f"{_quoted(name)} = {to}" for name, to in changes.items())
        return (
            f"INSERT INTO {table.name} ({_list(names)}) {source} "
            f"ON CONFLICT ({_list(self.unique)}) DO UPDATE SET {changed}"
        )


class _Table:
    """The columns of a model, as the database knows them."""

    def __init__(self, model: type[models.Model]) -> None:
        meta = model._meta
        self.name = _quoted(meta.db_table)
        self._fields = {
            str(column.column): column
            for column in meta.concrete_fields
            if not isinstance(column, models.AutoField)  # the database counts those
        }
        key = meta.pk
        self.made_key = key.column if key.has_default() else ""  # a UUID
        self.new_key: Callable[[], Any] = key.get_default

    def defaults_but(self, named: set[str]) -> dict[str, Any]:
        return {
            name: column.get_default()
            for name, column in self._fields.items()
            if name not in named and name != self.made_key
        }

    def prepare(self, name: str) -> Prepare:
        column = self._fields[name]
        if isinstance(column, models.JSONField):
            return _json
        if isinstance(column, models.CharField | models.TextField):
            return _as_it_is
        return lambda value: column.get_db_prep_save(value, connection)

    def unnested(self, shared: Sequence[str], named: Sequence[str]) -> str:
        """A SELECT of values alike in all rows, and of one array a column."""
        alike = [f"%s::{self._type(name)}" for name in shared]
        each = [f"{_quoted(name)}::{self._type(name)}" for name in named]
        arrays = ", ".join(f"%s::{self._array_type(name)}[]" for name in named)
        selected = ", ".join([*alike, *each])
        return f"SELECT {selected} FROM unnest({arrays}) AS given ({_list(named)})"  # noqa: S608 names of columns

    def _type(self, name: str) -> str:
        """Without a length: the column itself refuses what is too long, a cast would cut it."""
        return re.sub(r"\(.*\)", "", self._fields[name].db_type(connection) or "")

    def _array_type(self, name: str) -> str:
        kind = self._type(name)
        return "text" if kind == "jsonb" else kind


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def _as_it_is(value: Any) -> Any:
    return value


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)


def _list(names: Sequence[str]) -> str:
    return ", ".join(_quoted(name) for name in names)
