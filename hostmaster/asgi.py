"""The ASGI entry, as uvicorn loads it: `uvicorn hostmaster.asgi:application`."""

from __future__ import annotations

import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hostmaster.settings")
django_application = get_asgi_application()

from django.conf import settings  # noqa: E402 as below

from hostmaster import checks  # noqa: E402 needs the apps, which are ready only now
from hostmaster.core.web.body_limit import limit_bodies  # noqa: E402 as above
from hostmaster.site.embedded_workers import lifespan  # noqa: E402 as above

checks.refuse_what_is_wrong()
# Twice Django's own limit, which answers with the page or the JSON that the address is used to.
limited_application = limit_bodies(
    django_application, max_bytes=2 * settings.DATA_UPLOAD_MAX_MEMORY_SIZE
)


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Django, and beside it the server's own start and end."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    else:
        await limited_application(scope, receive, send)
