"""What a person sees after too many failed sign-ins, and from which address they came."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from axes.backends import AxesStandaloneBackend
from axes.models import AccessAttempt
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone


class LockoutBackend(AxesStandaloneBackend):  # type: ignore[misc] # axes is untyped
    """Refuses a sign-in while its name and address are locked out; signs nobody in itself.

    `authenticate(username=…, password=…)` in code has no request, so no address to lock.
    """

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        if request is not None:
            super().authenticate(request, **credentials)


def client_address(request: HttpRequest) -> str | None:
    """The peer as the server knows it. Never a header: anybody can send X-Forwarded-For."""
    return request.META.get("REMOTE_ADDR") or None


def locked_out(request: HttpRequest, *_more: object) -> HttpResponse:
    """The page that says when to try again (429, `Retry-After`).

    axes hands over more, in another order under ASGI than under WSGI, so only the request is used.
    """
    username = str((getattr(request, "axes_credentials", None) or {}).get("username") or "")
    until = _locked_until(username, client_address(request))
    wait = max(1, round((until - timezone.now()).total_seconds()))
    context = {"until": until, "minutes": -(-wait // 60)}
    response = render(request, "locked_out.html", context, status=429)
    response.headers["Retry-After"] = str(wait)
    return response


def _locked_until(username: str, address: str | None) -> datetime:
    """When so many failures are older than the cool-off that fewer than the limit count."""
    start = timezone.now() - settings.AXES_COOLOFF_TIME
    recent = AccessAttempt.objects.filter(
        username=username, ip_address=address, attempt_time__gte=start
    ).order_by("attempt_time")
    counted = list(recent.values_list("attempt_time", "failures_since_start"))
    remaining = sum(failures for _, failures in counted)
    for attempt_time, failures in counted:
        remaining -= failures
        if remaining < settings.AXES_FAILURE_LIMIT:
            return attempt_time + settings.AXES_COOLOFF_TIME  # type: ignore[no-any-return] # axes is untyped
    return timezone.now() + settings.AXES_COOLOFF_TIME
