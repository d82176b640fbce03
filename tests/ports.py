"""Ports for processes that open them later."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from itertools import cycle

# A port that the kernel picks is one of thousands it may pick again before our process, seconds
# later, opens it. These are below what it picks from, each process of the tests has its own
# eighth, begins somewhere else than another run, and comes back only after all others.
_EIGHTHS = 8
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_ours = range(10_000 + _worker % _EIGHTHS, 30_000, _EIGHTHS)
_begin = os.getpid() * 31 % len(_ours)
_ports: Iterator[int] = cycle([*_ours[_begin:], *_ours[:_begin]])


def free_port() -> int:
    """One that nobody holds, of this machine alone."""
    for port in _ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("the ports never end")
