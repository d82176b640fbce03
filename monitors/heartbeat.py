"""`/api/v1/heartbeats/{token}`: what a push monitor watches says that it lives.

A plain Django view: the token is in the address, so that one line of a shell script can call it.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from hostmaster.core.web.error_answers import answer
from monitors.services import UnknownPushTokenError, record_push


@csrf_exempt  # who calls has no cookie; the token is the right to call
@never_cache
def heartbeat(request: HttpRequest, token: str) -> HttpResponse:
    """GET, HEAD or POST, whatever the caller finds easiest. 404 for a token that is none."""
    if request.method not in {"GET", "HEAD", "POST"}:
        return answer(405, "Call it with GET or POST.", Allow="GET, HEAD, POST")
    try:
        monitor = record_push(token)
    except UnknownPushTokenError as error:
        return answer(404, str(error))
    return JsonResponse({"ok": True, "status": monitor.status})
