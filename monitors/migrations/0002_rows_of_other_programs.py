"""Rows of `monitor_checks` that other programs write into SQLite, put into our form as they come.

SQLite keeps whatever text it is given, so `2026-01-01T00:00:00Z`, `2026-01-01 02:00:00+02:00` and
`yesterday` all go into a column of times: the first two sort wrongly beside ours, the last one ends
every query that reads it. Triggers, because a row must be right for the first reader. What cannot
be read goes to `monitor_checks_set_aside`.

They name these two tables only: SQLite cannot rebuild a table that a trigger of another one names.
Rebuilding `monitor_checks` or `monitors` drops those of that table, so a later migration that does
must make them again.
"""

from __future__ import annotations

from typing import Any

import django.db.models.functions.datetime
from django.db import migrations, models

_TIMES = ("checked_at", "created_at", "ssl_expires_at")
_KEYS = ("id", "monitor_id")
_FLAGS = ("success", "ssl_valid")
_NUMBERS = (
    *("status_code", "response_time_ms", "dns_ms", "connect_ms", "tls_ms", "ttfb_ms"),
    "transfer_ms",
)
_COLUMNS = (*_KEYS, *_TIMES, *_FLAGS, *_NUMBERS)
_NULLABLE = frozenset({"ssl_expires_at", "ssl_valid", *_NUMBERS})

_SECOND = "%Y-%m-%d %H:%M:%S"
_IS_FRACTION = "({0} = '' OR ({0} GLOB '.[0-9]*' AND SUBSTR({0}, 2) NOT GLOB '*[^0-9]*'))"

# Asked of every row, ours too, so cheap: 4 us a row in all. Whatever else STRFTIME understands (a
# zone, spaces) shows in the second, the length or the last character. Days added to 30 February,
# even none, make it 2 March.
_IS_OUR_TIME = (
    "(DATETIME({0}) IS SUBSTR({0}, 1, 19) AND {0} >= '0001' AND LENGTH({0}) IN (19, 23, 26) "
    "AND SUBSTR({0}, -1) BETWEEN '0' AND '9' "
    "AND (SUBSTR({0}, 9, 2) < '29' OR DATE({0}, '+0 days') IS SUBSTR({0}, 1, 10)))"
)
# The second, the fraction and the zone (Z, +02:00, +0200, +02, " +0000 UTC", none), taken apart.
_TIME = f"""(
SELECT CASE WHEN STRFTIME('{_SECOND}', second, '+0 days') IS second AND separator IN (' ', 'T', 't')
    AND {_IS_FRACTION.format('fraction')} AND STRFTIME('{_SECOND}', second || zone) >= '0001'
    THEN STRFTIME('{_SECOND}', second || zone) || SUBSTR(fraction || SUBSTR('000000', 1, 6 * (fraction <> '')), 1, 7) END
FROM (
    SELECT second, separator, RTRIM(SUBSTR(rest, 1, LENGTH(rest) - length_of_zone)) AS fraction,
        CASE length_of_zone WHEN 6 THEN SUBSTR(rest, -6) WHEN 3 THEN SUBSTR(rest, -3) || ':00'
            WHEN 5 THEN SUBSTR(rest, -5, 3) || ':' || SUBSTR(rest, -2) ELSE '' END AS zone
    FROM (
        SELECT second, separator, rest, CASE
            WHEN rest LIKE '%Z' THEN 1
            WHEN rest GLOB '*[+-][0-9][0-9]:[0-9][0-9]' THEN 6
            WHEN rest GLOB '*[+-][0-9][0-9][0-9][0-9]' THEN 5
            WHEN rest GLOB '*[+-][0-9][0-9]' THEN 3 ELSE 0 END AS length_of_zone
        FROM (
            SELECT SUBSTR(value, 1, 10) || ' ' || SUBSTR(value, 12, 8) AS second,
                SUBSTR(value, 11, 1) AS separator,
                CASE WHEN value LIKE '% UTC' THEN SUBSTR(value, 20, LENGTH(value) - 23)
                    ELSE SUBSTR(value, 20) END AS rest
            FROM (
                SELECT CASE LENGTH({{0}}) WHEN 10 THEN {{0}} || ' 00:00:00'
                    WHEN 16 THEN {{0}} || ':00' ELSE {{0}} END AS value
            )
        )
    )
))"""
_IS_OUR_KEY = "(LENGTH({0}) = 32 AND {0} NOT GLOB '*[^0-9a-f]*')"
_KEY = (
    "(SELECT CASE WHEN LENGTH(value) = 32 AND value NOT GLOB '*[^0-9a-f]*' THEN value END "
    "FROM (SELECT LOWER(CASE TYPEOF({0}) WHEN 'blob' THEN HEX({0}) "
    "ELSE REPLACE({0}, '-', '') END) AS value))"
)
_IS_OUR_FLAG = "({0} IN (0, 1))"
_FLAG = (
    "(CASE WHEN TYPEOF({0}) = 'integer' THEN {0} <> 0 "
    "WHEN LOWER({0}) IN ('true', 't', 'yes', 'y') THEN 1 "
    "WHEN LOWER({0}) IN ('false', 'f', 'no', 'n') THEN 0 END)"
)
_IS_OUR_NUMBER = "(TYPEOF({0}) = 'integer')"
_NUMBER = (
    "(CASE WHEN TYPEOF({0}) = 'integer' THEN {0} "
    "WHEN TYPEOF({0}) = 'real' AND ABS({0}) < 2147483647 THEN CAST(ROUND({0}) AS INTEGER) END)"
)
_FORMS = (
    {name: (_IS_OUR_TIME, _TIME) for name in _TIMES}
    | {name: (_IS_OUR_KEY, _KEY) for name in _KEYS}
    | {name: (_IS_OUR_FLAG, _FLAG) for name in _FLAGS}
    | {name: (_IS_OUR_NUMBER, _NUMBER) for name in _NUMBERS}
)

_MARK = "'unreadable'"  # what cannot be read, until its row is set aside
_TRIGGER = """
CREATE TRIGGER {name} AFTER {event} ON monitor_checks WHEN {condition}
BEGIN
    UPDATE monitor_checks SET {assignments} WHERE rowid = NEW.rowid;
    INSERT INTO monitor_checks_set_aside
        (column_name, value, check_id, monitor_id, error_message)
    SELECT CASE {names} END, CASE {values} END, {id}, {monitor_id}, {message}
    FROM monitor_checks WHERE rowid = NEW.rowid AND {mark} IN ({columns});
    DELETE FROM monitor_checks WHERE rowid = NEW.rowid AND {mark} IN ({columns});
    -- OR IGNORE holds in here too: the row is there already, in our form, and this one unchanged.
    DELETE FROM monitor_checks WHERE rowid = NEW.rowid AND NOT {is_our_key};
END
"""
_EVENTS = {
    "monitor_checks_inserted": "INSERT",
    "monitor_checks_updated": f"UPDATE OF {', '.join(_COLUMNS)}",
}


# A row of `monitors`, too, whose key has hyphens, as most programs write it: claims join by it.
# What nobody could read is refused, for it is no fact that would be lost.
_MONITOR_TIMES = ("status_since", "created_at", "updated_at")
_NEW_TIMES = {column: f"NEW.{column}" for column in _MONITOR_TIMES}
_ARE_OUR_TIMES = " AND ".join(_IS_OUR_TIME.format(new) for new in _NEW_TIMES.values())
_IS_NO_TIME = " OR ".join(f"{_TIME.format(new)} IS NULL" for new in _NEW_TIMES.values())
_OUR_TIMES = ", ".join(f"{column} = {_TIME.format(new)}" for column, new in _NEW_TIMES.items())
_MONITOR_TRIGGER = f"""
CREATE TRIGGER monitors_inserted AFTER INSERT ON monitors WHEN NOT (
    {_IS_OUR_KEY.format("NEW.id")} AND {_IS_OUR_KEY.format("NEW.tenant_id")}
    AND {_ARE_OUR_TIMES}
)
BEGIN
    SELECT RAISE(ABORT, 'monitors: id and tenant_id are UUIDs')
    WHERE {_KEY.format("NEW.id")} IS NULL OR {_KEY.format("NEW.tenant_id")} IS NULL;
    SELECT RAISE(ABORT, 'monitors: a time cannot be read') WHERE {_IS_NO_TIME};
    UPDATE monitors SET id = {_KEY.format("NEW.id")}, tenant_id = {_KEY.format("NEW.tenant_id")},
        {_OUR_TIMES} WHERE rowid = NEW.rowid;
    DELETE FROM monitors WHERE rowid = NEW.rowid
        AND NOT ({_IS_OUR_KEY.format("id")} AND {_IS_OUR_KEY.format("tenant_id")});
END
"""


def install(apps: Any, schema_editor: Any) -> None:
    """Make the triggers, and put the rows that are there already into our form."""
    if schema_editor.connection.vendor != "sqlite":
        return
    for name, event in _EVENTS.items():
        schema_editor.execute(_trigger(name, event), params=None)
    schema_editor.execute(_MONITOR_TRIGGER, params=None)
    statement = f"UPDATE monitor_checks SET id = id WHERE NOT ({_are_ours('')})"
    schema_editor.execute(statement, params=None)


def remove(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "sqlite":
        for name in (*_EVENTS, "monitors_inserted"):
            schema_editor.execute(f"DROP TRIGGER IF EXISTS {name}", params=None)


def _trigger(name: str, event: str) -> str:
    condition = f"NOT ({_are_ours('NEW.')})"
    if event != "INSERT":  # the marks below update the row once more
        new = ", ".join(f"NEW.{column}" for column in _COLUMNS)
        condition = f"({_MARK} IN ({new})) IS NOT TRUE AND {condition}"
    return _TRIGGER.format(
        name=name,
        event=event,
        condition=condition,
        assignments=", ".join(f"{column} = {_in_our_form(column)}" for column in _COLUMNS),
        names=" ".join(f"WHEN {column} = {_MARK} THEN '{column}'" for column in _COLUMNS),
        values=" ".join(f"WHEN {c} = {_MARK} THEN {_as_text(f'NEW.{c}')}" for c in _COLUMNS),
        id=_as_text("NEW.id"),
        monitor_id=_as_text("NEW.monitor_id"),
        message=_as_text("NEW.error_message"),
        mark=_MARK,
        columns=", ".join(_COLUMNS),
        is_our_key=_IS_OUR_KEY.format("id"),
    )


def _are_ours(of: str) -> str:
    return " AND ".join(_is_ours(f"{of}{column}", column) for column in _COLUMNS)


def _is_ours(value: str, column: str) -> str:
    is_ours = _FORMS[column][0].format(value)
    return f"({value} IS NULL OR {is_ours})" if column in _NULLABLE else is_ours


def _in_our_form(column: str) -> str:
    value = f"NEW.{column}"
    read = f"COALESCE({_FORMS[column][1].format(value)}, {_MARK})"
    return f"CASE WHEN {value} IS NULL THEN NULL ELSE {read} END" if column in _NULLABLE else read


def _as_text(value: str) -> str:
    return f"CASE TYPEOF({value}) WHEN 'blob' THEN HEX({value}) ELSE CAST({value} AS TEXT) END"


class Migration(migrations.Migration):
    dependencies = [("monitors", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="SetAsideCheck",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("column_name", models.TextField()),
                ("value", models.TextField(null=True)),
                ("check_id", models.TextField()),
                ("monitor_id", models.TextField()),
                ("error_message", models.TextField(null=True)),
                (
                    "set_aside_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={"db_table": "monitor_checks_set_aside"},
        ),
        migrations.RunPython(install, remove),
    ]
