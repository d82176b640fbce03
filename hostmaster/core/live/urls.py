from __future__ import annotations

from django.urls import path

from hostmaster.core.live.broadcast import broadcast
from hostmaster.core.live.stream import stream

urlpatterns = [
    path("api/v1/stream", stream, name="stream"),
    path("internal/broadcast", broadcast, name="broadcast"),
]
