"""What live events offer to the kernel."""

from __future__ import annotations

from datetime import timedelta

from hostmaster.core.registry import AppRegistry, Retention

REGISTRY = AppRegistry(
    retention=(Retention(model="live.LiveEvent", instant="at", keep=timedelta(hours=1)),),
)
