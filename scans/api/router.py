"""All routes of the scans app."""

from __future__ import annotations

from ninja import Router

from scans.api.accounts import router as accounts
from scans.api.budgets import router as budgets
from scans.api.costs import router as costs
from scans.api.inventory import router as inventory
from scans.api.recommendations import router as recommendations
from scans.api.rule_settings import router as rule_settings
from scans.api.scans import router as scans

router = Router()
for part in (accounts, scans, recommendations, rule_settings, inventory, costs, budgets):
    router.add_router("", part)
