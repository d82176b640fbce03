"""Files of what is filtered, written as they are read: never a whole list in memory."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, StreamingHttpResponse

Format = Literal["csv", "json"]
Row = Mapping[str, Any]

CHUNK = 500  # rows
_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

# For the API's document, which cannot see it in the route's types.
DOCUMENTED = {
    "responses": {
        200: {
            "description": "A file.",
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                "application/json": {
                    "schema": {"type": "array", "items": {"type": "object"}},
                },
            },
        }
    }
}


def export(
    request: HttpRequest, rows: Iterable[Row], columns: Sequence[str], *, name: str, format: Format
) -> StreamingHttpResponse:
    """A download of `rows`, whose keys are `columns`."""
    lines = _csv(rows, columns) if format == "csv" else _json(rows)
    chunks = _chunks(lines)
    # Under ASGI a plain iterator would be read to its end before the first byte leaves.
    content = _async(chunks) if isinstance(request, ASGIRequest) else chunks
    return StreamingHttpResponse(
        content,
        content_type=_TYPES[format],
        headers={"Content-Disposition": f'attachment; filename="{name}.{format}"'},
    )


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def _csv(rows: Iterable[Row], columns: Sequence[str]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow([_heading(column) for column in columns])
    for row in rows:
        yield writer.writerow([_cell(row[column]) for column in columns])


def _heading(column: str) -> str:
    """What a related row is called by stands for it: `account__name` is the account."""
    return column.removesuffix("__name")


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula is kept a text; numbers stay numbers."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value


def _json(rows: Iterable[Row]) -> Iterator[str]:
    yield "["
    for number, row in enumerate(rows):
        told = {_heading(column): value for column, value in row.items()}
        yield f"{',' if number else ''}\n{json.dumps(told, cls=DjangoJSONEncoder)}"
    yield "\n]\n"


def _chunks(lines: Iterator[str]) -> Iterator[bytes]:
    waiting: list[str] = []
    for line in lines:
        waiting.append(line)
        if len(waiting) >= CHUNK:
            yield "".join(waiting).encode()
            waiting.clear()
    yield "".join(waiting).encode()


async def _async(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    def take() -> bytes | None:
        return next(chunks, None)

    take_in_thread = sync_to_async(take)  # the request's own, with its database connection
    while (chunk := await take_in_thread()) is not None:
        yield chunk
