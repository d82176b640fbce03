"""`POST /internal/broadcast`: a program outside publishes a live event for its tenant's pages."""

from __future__ import annotations

import re
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from ninja import Schema
from pydantic import ConfigDict, Field, ValidationError

from hostmaster.core.live.services import publish
from hostmaster.core.tenants.models import ApiToken, Role
from hostmaster.core.tenants.rate_limit import RateLimitedError
from hostmaster.core.web.authentication import TokenAuth
from hostmaster.core.web.error_answers import answer
from hostmaster.core.web.errors import ForbiddenError
from hostmaster.core.web.parsing import StrictParser

MAX_BYTES = 16 * 1024
TOPIC = re.compile(r"[a-z][a-z0-9_.-]{0,49}\Z")


class Broadcast(Schema):
    """What is told: a topic in lower case, and JSON without secrets, for every viewer sees it."""

    model_config = ConfigDict(extra="forbid")

    topic: str = Field(pattern=TOPIC.pattern.replace(r"\Z", "$"))
    data: dict[str, Any] = {}


@csrf_exempt  # a Bearer token only: no browser sends that by itself
def broadcast(request: HttpRequest) -> HttpResponse:
    """Needs the token of an operator; answers 202 with the event's id."""
    if request.method != "POST":
        return answer(405, "Broadcasts are sent with POST.", Allow="POST")
    try:
        token = TokenAuth()(request)
    except ForbiddenError as error:
        return answer(403, str(error))
    except RateLimitedError as error:
        return answer(429, str(error), **{"Retry-After": str(error.retry_after)})
    if token is None or not Role(token.role).allows(Role.OPERATOR):
        return answer(401, "Send the token of an operator: Authorization: Bearer hm_….")
    return _publish(request, token)


def _publish(request: HttpRequest, token: ApiToken) -> HttpResponse:
    if int(request.headers.get("Content-Length") or MAX_BYTES + 1) > MAX_BYTES:
        return answer(413, f"A broadcast has a Content-Length of at most {MAX_BYTES} bytes.")
    try:
        body = StrictParser().parse_body(request)
    except ValueError as error:  # also what is no UTF-8
        return answer(400, f"The body cannot be read: {error}")
    try:
        told = Broadcast.model_validate(body)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False, include_context=False)
        fields = [{"loc": ["body", *e["loc"]], "msg": e["msg"], "type": e["type"]} for e in wrong]
        return answer(422, fields)
    event = publish(token.tenant, told.topic, told.data)
    return JsonResponse({"id": event.pk}, status=202)
