"""/metrics for Prometheus."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from hostmaster.core.health.access import sees_internals
from hostmaster.core.metrics.exposition import exposition


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """All figures, for the worker port and the holder of `METRICS_TOKEN`.

    Others get 401 where a token is configured, so that a scraper with a wrong one says so; where
    none is, there is no such page: 404.
    """
    if sees_internals(request):
        return HttpResponse(exposition(), content_type=CONTENT_TYPE_LATEST)
    if not settings.METRICS_TOKEN:
        return HttpResponseNotFound("Not found.\n", content_type="text/plain")
    return HttpResponse(
        "A bearer token is needed.\n",
        status=401,
        content_type="text/plain",
        headers={"WWW-Authenticate": 'Bearer realm="metrics"'},
    )
