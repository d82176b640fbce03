"""What the alerts app offers to the kernel."""

from __future__ import annotations

from hostmaster.core.registry import AppRegistry

REGISTRY = AppRegistry()
