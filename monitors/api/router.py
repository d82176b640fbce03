"""All routes of the monitors app."""

from __future__ import annotations

from ninja import Router

from monitors.api.monitors import router as monitors

router = Router()
for part in (monitors,):
    router.add_router("", part)
