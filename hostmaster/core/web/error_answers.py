"""Exceptions of a route, turned into JSON answers that tell the caller what to mend and no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.core.exceptions import RequestDataTooBig, ValidationError
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.utils.log import log_response
from ninja import NinjaAPI
from ninja.errors import AuthenticationError
from ninja.errors import ValidationError as SchemaError

from hostmaster.core.state import InvalidTransitionError
from hostmaster.core.tenants.rate_limit import RateLimitedError
from hostmaster.core.web.errors import ApiError, InvalidInputError


def add_error_answers(api: NinjaAPI) -> None:
    """Let `api` answer each exception a route or the authentication may raise."""
    answers: dict[type[Exception], Callable[[HttpRequest, Any], HttpResponse]] = {
        ApiError: lambda _request, error: answer(error.status, str(error)),
        InvalidInputError: lambda _request, error: answer(
            error.status, [_field_error(error.loc, str(error))]
        ),
        AuthenticationError: _answer_unauthenticated,
        RateLimitedError: _answer_rate_limited,
        SchemaError: _answer_broken_schema,
        ValidationError: _answer_invalid_row,
        InvalidTransitionError: lambda _request, error: answer(409, str(error)),
        Http404: lambda _request, _error: answer(404, "There is no such thing here."),
        RequestDataTooBig: lambda _request, _error: answer(413, "The body is larger than 1 MiB."),
        UnreadablePostError: lambda _request, _error: answer(400, "The body broke off."),
        OperationalError: _answer_database_trouble,
        Exception: _answer_failure,
    }
    for exception, handler in answers.items():
        api.add_exception_handler(exception, handler)


def answer(status: int, detail: str | list[dict[str, Any]], **headers: str) -> JsonResponse:
    """An error in the shape every error of the API has."""
    return JsonResponse({"detail": detail}, status=status, headers=headers)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's `handler404`: JSON below /api/, the page elsewhere."""
    from django.views.defaults import page_not_found as html_page

    if request.path.startswith("/api/"):
        return answer(404, "There is no such address; see /api/v1/docs.")
    return html_page(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's `handler500`: JSON below /api/, the page elsewhere."""
    from django.views.defaults import server_error as html_page

    if request.path.startswith("/api/"):
        return answer(500, "The server failed; the failure is in its log.")
    return html_page(request)


def _answer_unauthenticated(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    detail = "Send a valid API token: Authorization: Bearer hm_…"
    return answer(401, detail, **{"WWW-Authenticate": "Bearer"})


def _answer_rate_limited(request: HttpRequest, error: RateLimitedError) -> HttpResponse:
    return answer(429, str(error), **{"Retry-After": str(error.retry_after)})


def _answer_broken_schema(request: HttpRequest, error: SchemaError) -> HttpResponse:
    # Where and why, never pydantic's `input` and `ctx`: what was sent may be a credential.
    fields = [
        _field_error(_place(e.get("loc", ())), e.get("msg", ""), e.get("type"))
        for e in error.errors
    ]
    return answer(422, fields)


def _place(loc: Sequence[str | int]) -> list[str | int]:
    """Where it stands in what was sent: without the parameter's name that ninja puts second, and
    without the names of a union's branches, which are written with a space."""
    source, *path = loc
    path = path[1:] if source == "body" else path
    return [source, *(part for part in path if not (isinstance(part, str) and " " in part))]


def _answer_invalid_row(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """A service refused the row (`full_clean`): 422 with its fields, as for a broken schema."""
    by_field = error.message_dict if hasattr(error, "error_dict") else {"__all__": error.messages}
    fields = [
        _field_error(["body"] if field == "__all__" else ["body", field], message)
        for field, messages in by_field.items()
        for message in messages
    ]
    return answer(422, fields)


def _answer_database_trouble(request: HttpRequest, error: OperationalError) -> HttpResponse:
    detail = "The database cannot be reached just now; try again."
    return _logged(request, error, answer(503, detail, **{"Retry-After": "5"}))


def _answer_failure(request: HttpRequest, error: Exception) -> HttpResponse:
    return _logged(request, error, answer(500, "The server failed; the failure is in its log."))


def _logged(request: HttpRequest, error: Exception, response: HttpResponse) -> HttpResponse:
    """Log `error` with its traceback, in the place of the line Django writes for each 5xx."""
    message = "%s %s failed"
    log_response(
        message, request.method, request.path, response=response, request=request, exception=error
    )
    return response


def _field_error(loc: Any, msg: str, kind: str | None = None) -> dict[str, Any]:
    return {"type": kind or "invalid", "loc": list(loc), "msg": msg}
