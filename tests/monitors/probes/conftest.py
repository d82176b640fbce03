from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from monitors.probes.http import HttpEngine, Limits
from monitors.probes.types import Observation
from tests.monitors.probes.certificates import Issued, issue
from tests.monitors.probes.checking import check

Check = Callable[..., Observation]


@pytest.fixture
def opened(settings: Settings) -> None:
    """Loopback may be dialled."""
    settings.HOSTMASTER_ALLOWED_NETWORKS = ["127.0.0.0/8", "::1/128"]


@pytest.fixture(scope="session")
def root() -> Issued:
    """The root that the engine of `probe` trusts."""
    return issue("Trusted root", is_ca=True)


@pytest.fixture
def engine(root: Issued, tmp_path: Path) -> Iterator[HttpEngine]:
    bundle = tmp_path / "roots.pem"
    bundle.write_bytes(root.pem)
    # The phase limits of 10 s, shortened.
    limits = Limits(connect_seconds=1.0, header_seconds=1.0)
    with HttpEngine(300, ca_bundle=str(bundle), limits=limits) as engine:
        yield engine


@pytest.fixture
def probe(engine: HttpEngine, opened: None) -> Check:
    """Check an URL on loopback: `probe(url, **fields_of_target)`."""

    def probe(url: str, **fields: object) -> Observation:
        return check(engine, url, **fields)

    return probe
