"""Fixtures of the monitors' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from hostmaster.core.tenants.models import Tenant
from monitors.sweep import Sweep
from tests.factories import make_tenant
from tests.monitors.servers import Site, running_site


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant()


@pytest.fixture
def site(settings: Settings) -> Iterator[Site]:
    settings.HOSTMASTER_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    with running_site() as running:
        yield running


@pytest.fixture
def sweep() -> Iterator[Sweep]:
    made = Sweep()
    yield made
    made.close()
