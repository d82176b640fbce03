"""Who may see figures about the inside: the worker port, and whoever holds `METRICS_TOKEN`."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.http import HttpRequest


def sees_internals(request: HttpRequest) -> bool:
    """The request came through the worker port, or bears the operator's token.

    `is_internal` is an attribute the worker port's server sets; no header can forge it.
    """
    if getattr(request, "is_internal", False):
        return True
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if not settings.METRICS_TOKEN or scheme.lower() != "bearer":
        return False
    return secrets.compare_digest(given.strip().encode(), settings.METRICS_TOKEN.encode())
