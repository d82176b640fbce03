"""The Content-Security-Policy header, from Django 6's setting `SECURE_CSP`; delete on upgrade."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

Handler = Callable[[HttpRequest], HttpResponseBase] | Callable[[HttpRequest], Awaitable[Any]]


@sync_and_async_middleware
def content_security_policy(get_response: Any) -> Handler:
    """Add the header to each answer that has none of its own."""
    parts = (f"{name} {' '.join(sources)}" for name, sources in settings.SECURE_CSP.items())
    policy = "; ".join(parts)

    def with_header(response: HttpResponseBase) -> HttpResponseBase:
        response.headers.setdefault("Content-Security-Policy", policy)
        return response

    async def answer_async(request: HttpRequest) -> HttpResponseBase:
        return with_header(await get_response(request))

    def answer(request: HttpRequest) -> HttpResponseBase:
        return with_header(get_response(request))

    return answer_async if iscoroutinefunction(get_response) else answer
