"""`/api/v1/stream`: what changes, as Server-Sent Events, resumable by `Last-Event-ID`.

A plain Django view: an answer that never ends is none of the API's typed ones. Under WSGI, which
could hold it open for a thread each, it ends after a while and the browser asks again.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

from hostmaster.core.live.hub import STREAM_QUEUE, Subscriber, TooManyStreamsError, hub
from hostmaster.core.live.models import LiveEvent
from hostmaster.core.live.services import missed_since
from hostmaster.core.live.window import Told, Window
from hostmaster.core.tenants.rate_limit import RateLimitedError
from hostmaster.core.web.authentication import MemberAuth, TokenAuth
from hostmaster.core.web.error_answers import answer
from hostmaster.core.web.errors import ApiError
from hostmaster.core.web.tenancy import TENANT_HEADER, TenantRequest

PING_SECONDS = 15.0  # proxies drop what is silent for longer
VERIFY_SECONDS = 60.0  # a revoked token, a member who left: gone within a minute
STREAMS_AT_MOST = 10  # for one user or token, in one web process
WSGI_SECONDS = 25.0
RETRY_MS = 3000

RESYNC = "event: resync\ndata: {}\n\n"  # too much was missed: load the page anew
PING = ": ping\n\n"


async def stream(request: HttpRequest) -> HttpResponseBase:
    """Events of the caller's tenant; `?topics=monitor,incident` narrows them.

    A browser cannot send headers here: with several tenants it names one as `?tenant=`.
    """
    if request.method not in {"GET", "HEAD"}:
        return answer(405, "Streams are read with GET.")
    caller = await sync_to_async(authenticate)(request)
    if isinstance(caller, HttpResponseBase):
        return caller
    if not isinstance(request, ASGIRequest):
        return _events(_follow_by_polling(caller))
    subscriber = Subscriber(
        caller.tenant.pk, caller.actor, _topics(request), asyncio.get_running_loop()
    )
    try:
        await sync_to_async(hub.join, thread_sensitive=False)(subscriber, at_most=STREAMS_AT_MOST)
    except TooManyStreamsError as error:
        refusal = answer(429, str(error))
        refusal.headers["Retry-After"] = "60"
        return refusal
    return _events(_follow(caller, subscriber))


def authenticate(request: HttpRequest) -> TenantRequest | HttpResponseBase:
    """The request with its tenant, or the refusal."""
    tenant = request.GET.get("tenant")
    if tenant and TENANT_HEADER not in request.headers:
        request.META["HTTP_X_TENANT"] = tenant
        vars(request).pop("headers", None)  # Django keeps what it made of META before
    try:
        if TokenAuth()(request) or MemberAuth()(request):
            return _as_caller(request)
    except ApiError as error:
        return answer(error.status, str(error))
    except RateLimitedError as error:
        refusal = answer(429, str(error))
        refusal.headers["Retry-After"] = str(error.retry_after)
        return refusal
    return answer(401, "Send a token or sign in.")


def _as_caller(request: Any) -> TenantRequest:
    caller: TenantRequest = request  # `attach_tenant` made it one
    return caller


def _events(source: AsyncIterator[str] | Iterator[str]) -> StreamingHttpResponse:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx hands on at once
    return StreamingHttpResponse(source, content_type="text/event-stream", headers=headers)


async def _follow(caller: TenantRequest, subscriber: Subscriber) -> AsyncIterator[str]:
    try:
        yield f"retry: {RETRY_MS}\n\n"
        missed = await sync_to_async(_missed)(caller)
        for text in _texts_or_resync(missed, subscriber.topics):
            yield text
        verified_at = time.monotonic()
        while True:
            if subscriber.has_missed:
                yield RESYNC
                return
            yield await _next(subscriber)
            if time.monotonic() - verified_at > VERIFY_SECONDS:
                if not await sync_to_async(_is_still_allowed)(caller):
                    return
                verified_at = time.monotonic()
    finally:
        hub.leave(subscriber)


async def _next(subscriber: Subscriber) -> str:
    try:
        return _text(await asyncio.wait_for(subscriber.queue.get(), PING_SECONDS))
    except TimeoutError:
        return PING


def _missed(caller: TenantRequest) -> list[Told] | None:
    """Since what it heard last. `None`: too much."""
    last = _last_heard(caller)
    if not last:
        return []
    # Room in the queue stays for what comes meanwhile.
    rows = missed_since(caller.tenant.pk, min(int(last), 2**63 - 1), STREAM_QUEUE)
    if rows is None:
        return None
    return [Told(row.pk, row.tenant_id, row.topic, row.data) for row in rows]


def _last_heard(caller: TenantRequest) -> str:
    last = caller.headers.get("Last-Event-ID", caller.GET.get("last_event_id", ""))
    return last if last.isdecimal() else ""


def _is_still_allowed(caller: TenantRequest) -> bool:
    vars(caller).pop("user", None)
    return not isinstance(authenticate(caller), HttpResponseBase)


def _follow_by_polling(caller: TenantRequest) -> Iterator[str]:
    """In a thread of its own, with a window of its own."""
    topics, window = _topics(caller), Window(caller.tenant.pk)
    yield f"retry: {RETRY_MS}\n\n" + _place(caller)
    while not window.is_primed:
        window.read()  # before what was missed, so that nothing falls between the two
    missed = _missed(caller)
    window.note(event.pk for event in missed or ())
    yield from _texts_or_resync(missed, topics)
    ends = time.monotonic() + WSGI_SECONDS
    while time.monotonic() < ends:
        time.sleep(settings.LIVE_POLL_SECONDS)
        yield from _texts(window.read(), topics)


def _place(caller: TenantRequest) -> str:
    """Where a page that hears nothing goes on when this stream has ended: at the newest event."""
    newest = LiveEvent.objects.filter(tenant_id=caller.tenant.pk).order_by("-pk").first()
    return "" if newest is None or _last_heard(caller) else f"id: {newest.pk}\n\n"


def _topics(request: HttpRequest) -> frozenset[str]:
    return frozenset(filter(None, request.GET.get("topics", "").split(",")))


def _texts_or_resync(missed: Sequence[Told] | None, topics: frozenset[str]) -> list[str]:
    return [RESYNC] if missed is None else _texts(missed, topics)


def _texts(events: Sequence[Told], topics: frozenset[str]) -> list[str]:
    return [_text(event) for event in events if not topics or event.topic in topics]


def _text(event: Told) -> str:
    data = json.dumps(event.data, separators=(",", ":"))
    return f"id: {event.pk}\nevent: {event.topic}\ndata: {data}\n\n"
