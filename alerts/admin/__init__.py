"""The alerts app in the admin. Importing a module here registers its pages."""

from __future__ import annotations

from alerts.admin import channels, incidents, monitors, notifications, rules, silences

__all__ = ["channels", "incidents", "monitors", "notifications", "rules", "silences"]
