"""The monitors app in the admin. Importing a module here registers its pages."""

from __future__ import annotations

from monitors.admin import checks, maintenance, monitors

__all__ = ["checks", "maintenance", "monitors"]
