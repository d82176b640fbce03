"""A receiver on this machine, which only tests may send to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from tests.alerts.receiver import Receiver


@pytest.fixture
def loopback_allowed(settings: Settings) -> None:
    settings.HOSTMASTER_ALLOWED_NETWORKS = ["127.0.0.1/32"]


@pytest.fixture
def receiver(loopback_allowed: None) -> Iterator[Receiver]:
    with Receiver() as server:
        yield server
