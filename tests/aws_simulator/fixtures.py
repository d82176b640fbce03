"""The AWS simulator for every test of a process, and what may go wrong before it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from pytest_django.fixtures import Settings

from scans.aws.simulator import Simulator, start_simulator
from tests.aws_simulator.fault_proxy import FaultProxy
from tests.ports import free_port


@pytest.fixture(scope="session")
def simulator_process() -> Iterator[Simulator]:
    with start_simulator(free_port(), age=timedelta()) as simulator:
        yield simulator


@pytest.fixture
def aws_simulator(simulator_process: Simulator, settings: Settings) -> Simulator:
    """An empty simulator, and `AWS_ENDPOINT_URL` points to it."""
    # A scan that was cut short leaves its threads to end after their call: not into this test.
    for thread in threading.enumerate():
        if thread.name.startswith("scan-"):
            thread.join(timeout=30)
    simulator_process.reset()
    settings.AWS_ENDPOINT_URL = simulator_process.endpoint_url
    return simulator_process


@pytest.fixture
def fault_proxy(aws_simulator: Simulator, settings: Settings) -> Iterator[FaultProxy]:
    """A proxy before the simulator; `AWS_ENDPOINT_URL` points to the proxy."""
    with FaultProxy(aws_simulator.endpoint_url) as proxy:
        settings.AWS_ENDPOINT_URL = proxy.endpoint_url
        yield proxy
