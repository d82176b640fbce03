"""The ASGI entry, as uvicorn loads it: `uvicorn hostmaster.asgi:application`."""

from __future__ import annotations

import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hostmaster.settings")
django_application = get_asgi_application()

from hostmaster import checks  # noqa: E402 needs the apps, which are ready only now
from hostmaster.site.embedded_workers import lifespan  # noqa: E402 as above

checks.refuse_what_is_wrong()


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Django, and beside it the server's own start and end."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    else:
        await django_application(scope, receive, send)
