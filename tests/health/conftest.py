"""Fixtures for health: components of a test's own, nothing remembered from another."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from hostmaster.core.health.probe import database_probe
from hostmaster.core.health.summary import live_verdicts
from hostmaster.core.registry import HealthCheck, get_registry
from tests.health import scripted

Register = Callable[..., None]


@pytest.fixture(autouse=True)
def _forget_cached_verdicts() -> None:
    live_verdicts.forget()
    database_probe.forget()


@pytest.fixture
def components(monkeypatch: pytest.MonkeyPatch) -> Register:
    """`components(db="check")` makes `tests.health.scripted.check` the one component, `db`."""

    def register(**checks: str) -> None:
        registered = get_registry().health_checks
        for name in list(registered):
            monkeypatch.delitem(registered, name)
        for name, function in checks.items():
            check = HealthCheck(name, f"tests.health.scripted.{function}")
            monkeypatch.setitem(registered, name, check)

    return register


@pytest.fixture
def hanging_ends() -> Iterator[None]:
    """Lets a hanging check of this test return when the test ends."""
    scripted.gate.clear()
    yield
    scripted.gate.set()
