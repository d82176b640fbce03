"""The scans app in the admin. Importing a module here registers its pages."""

from __future__ import annotations

from scans.admin import accounts, costs, inventory, jobs, recommendations, rule_settings

__all__ = ["accounts", "costs", "inventory", "jobs", "recommendations", "rule_settings"]
