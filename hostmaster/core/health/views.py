"""/health for people and monitors, /health/live and /health/ready for an orchestrator."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from hostmaster.core.health.access import sees_internals
from hostmaster.core.health.probe import database_probe
from hostmaster.core.health.summary import summarise


@never_cache
@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """The customer's JSON; with the components for those who may see the inside."""
    summary = summarise()
    body = summary.as_json()
    if sees_internals(request):
        body["components"] = summary.components
    return JsonResponse(body, status=503 if summary.is_down else 200)


@never_cache
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """The process answers. It never touches the database: a restart would not mend that."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """The process can work: the database answers. Said within 200 ms, black hole or not."""
    if database_probe.is_reachable():
        return JsonResponse({"status": "ok", "database": "connected"})
    return JsonResponse({"status": "critical", "database": "disconnected"}, status=503)
