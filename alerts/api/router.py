"""All routes of the alerts app."""

from __future__ import annotations

from ninja import Router

from alerts.api.channels import router as channels
from alerts.api.incidents import router as incidents
from alerts.api.notifications import router as notifications
from alerts.api.rules import router as rules
from alerts.api.silences import router as silences

router = Router()
for part in (rules, channels, incidents, silences, notifications):
    router.add_router("", part)
