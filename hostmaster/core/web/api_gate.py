"""What is refused at the door of /api/, before any route: requests no route could read safely."""

from __future__ import annotations

from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from hostmaster.core.web.csp import Handler
from hostmaster.core.web.error_answers import answer


@sync_and_async_middleware
def api_gate(get_response: Any) -> Handler:
    """Refuse bodies of unknown length and NUL in paths; keep the API's answers out of caches.

    Django's own limit, DATA_UPLOAD_MAX_MEMORY_SIZE, reads Content-Length only: a chunked body
    would pass it at any size.
    """

    async def pass_async(request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith("/api/"):
            return await get_response(request)  # type: ignore[no-any-return] # see `Any` above
        return _kept_private(_refusal(request) or await get_response(request))

    def pass_sync(request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith("/api/"):
            return get_response(request)  # type: ignore[no-any-return] # see `Any` above
        return _kept_private(_refusal(request) or get_response(request))

    return pass_async if iscoroutinefunction(get_response) else pass_sync


def _refusal(request: HttpRequest) -> HttpResponseBase | None:
    if "\x00" in request.path:
        return answer(404, "There is no such address; see /api/v1/docs.")
    has_body = request.headers.get("Transfer-Encoding", "").strip()
    if has_body and not request.headers.get("Content-Length"):
        return answer(411, "Send the body with a Content-Length.")
    return None


def _kept_private(response: HttpResponseBase) -> HttpResponseBase:
    response.headers.setdefault("Cache-Control", "no-store")
    return response
