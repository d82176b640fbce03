"""All routes of the monitors app."""

from __future__ import annotations

from ninja import Router

from monitors.api.figures import router as figures
from monitors.api.maintenance import router as maintenance
from monitors.api.monitors import router as monitors

router = Router()
for part in (monitors, figures, maintenance):
    router.add_router("", part)
