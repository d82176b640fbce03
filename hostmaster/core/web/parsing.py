"""Reading what a caller sent, so that nothing gets in that a database cannot hold."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from django.http import HttpRequest
from django.utils.datastructures import MultiValueDict
from ninja.parser import Parser

from hostmaster.core.web.errors import ApiError


class StrictParser(Parser):
    """JSON as the standard has it (no NaN), and no text that PostgreSQL refuses.

    Anything raised while reading a body is answered 400.
    """

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        body = json.loads(request.body, parse_constant=_refuse_constant)
        # Re-encoding finds both, at any depth and in keys too: NUL, and halves of surrogates.
        text = json.dumps(body, ensure_ascii=False)
        text.encode()
        if "\\u0000" in text.replace("\\\\", ""):
            raise ValueError("A NUL character cannot be stored.")
        return body  # type: ignore[no-any-return] # ninja's own annotation: a list may come too

    def parse_querydict(
        self, data: MultiValueDict[str, Any], list_fields: list[str], request: HttpRequest
    ) -> dict[str, Any]:
        for values in data.lists():
            if any("\x00" in text for text in [values[0], *map(str, values[1])]):
                raise ApiError("A NUL character cannot be in the query.")
        return super().parse_querydict(data, list_fields, request)


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON.")
