"""The REST API under /api/v1/: the routers of the apps, one authentication, one shape of error."""

from __future__ import annotations

from ninja import NinjaAPI

from alerts.api.router import router as alerts_router
from hostmaster.core.tenants.api import router as tenants_router
from hostmaster.core.web.authentication import MemberAuth, TokenAuth
from hostmaster.core.web.error_answers import add_error_answers
from hostmaster.core.web.openapi import DocumentedApi
from hostmaster.core.web.parsing import StrictParser
from monitors.api.router import router as monitors_router
from scans.api.router import router as scans_router

DESCRIPTION = """
Send `Authorization: Bearer hm_…` (`manage.py create_token`) with each request, or use the session
of a signed-in member (of several tenants: name one in `X-Tenant`). A viewer may read, an operator
may write. Everything belongs to your tenant; what belongs to another answers 404. Lists take
`limit` and `offset` and answer `items` and `next_offset`. Errors answer `{"detail": …}`; beyond
the token's rate they answer 429 with `Retry-After`. A body is JSON of at most 1 MiB with a
`Content-Length`.

`GET /api/v1/stream` tells of changes as they happen, as Server-Sent Events:
`?topics=monitor,incident`
narrows them, `Last-Event-ID` resumes. What a push monitor watches calls
`POST /api/v1/heartbeats/{token}`, which needs nothing else.
"""


def build_api(namespace: str = "api-v1") -> NinjaAPI:
    """The API without a route: who may call, how bodies are read, how errors look."""
    api = DocumentedApi(
        title="hostmaster",
        version="1",
        description=DESCRIPTION,
        urls_namespace=namespace,
        auth=[TokenAuth(), MemberAuth()],
        parser=StrictParser(),
    )
    add_error_answers(api)
    return api


api = build_api()
api.add_router("", tenants_router)
api.add_router("", scans_router)
api.add_router("", monitors_router)
api.add_router("", alerts_router)
