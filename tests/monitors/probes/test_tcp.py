"""Is somebody listening?"""

from __future__ import annotations

import socket

import pytest

from monitors.probes.tcp import probe_tcp
from monitors.probes.types import Target
from tests.hostile_destinations import Sink
from tests.monitors.probes.conftest import Check


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_listening_port_is_up(host: str, opened: None) -> None:
    with Sink() as sink:
        observation = probe_tcp(Target("tcp", f"tcp://{host}:{sink.port}"))
    assert (observation.success, observation.error_message) == (True, "")
    assert observation.status_code is None
    assert observation.phases is not None
    assert observation.phases.connect_ms is not None


def test_nothing_is_said_and_the_connection_is_closed(probe: Check) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert probe(f"tcp://127.0.0.1:{port}", kind="tcp").success
        connection, _ = server.accept()
        with connection:
            connection.settimeout(5)
            assert connection.recv(100) == b""


def test_closed_port_is_down(opened: None) -> None:
    with Sink() as sink:
        port = sink.port
    observation = probe_tcp(Target("tcp", f"tcp://127.0.0.1:{port}"))
    assert (observation.success, observation.error_code) == (False, "connect")


def test_forbidden_address_is_not_dialled() -> None:
    with Sink() as sink:
        observation = probe_tcp(Target("tcp", f"tcp://127.0.0.1:{sink.port}"))
        assert sink.reach() == 0
    assert (observation.error_code, observation.error_message) == (
        "not_allowed",
        "This destination is not allowed.",
    )
