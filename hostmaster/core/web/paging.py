"""Lists in pages: `?limit=50&offset=100`.

Answers carry `items` and `next_offset`, null on the last page. There is no total: COUNT(*) over
a tenant's whole history costs more than the page itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Field, Schema
from ninja.pagination import PaginationBase, paginate

Route = TypeVar("Route", bound=Callable[..., Any])

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_OFFSET = 100_000  # who needs more filters, by time for instance: OFFSET reads what it skips


class Paging(PaginationBase):
    """The page of a QuerySet; routes use it by `@paged`."""

    class Input(Schema):
        limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="Items a page.")
        offset: int = Field(0, ge=0, le=MAX_OFFSET, description="Items to skip.")

    class Output(Schema):
        items: list[Any]
        next_offset: int | None

    def paginate_queryset(
        self, queryset: QuerySet[Any], pagination: Input, request: HttpRequest, **params: Any
    ) -> dict[str, Any]:
        start, end = pagination.offset, pagination.offset + pagination.limit
        found = list(queryset[start : end + 1])  # one more tells whether there is a next page
        items = found[: pagination.limit]
        more = len(found) > len(items) and end <= MAX_OFFSET
        return {"items": items, "next_offset": end if more else None}


def paged(route: Route) -> Route:
    """Use as `@paged` below `@router.get("/things", response=list[ThingOut])`.

    The route returns a QuerySet with a total order (end it with the primary key).
    """
    # Ninja reads annotations written as text in the globals of the decorator it made itself,
    # where the route's own names are unknown.
    vars(route)["__signature__"] = inspect.signature(route, eval_str=True)
    decorated: Route = paginate(Paging)(route)
    return decorated
