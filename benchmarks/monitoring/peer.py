"""Debian's prometheus-blackbox-exporter: asked for one probe after another, as Prometheus does."""

from __future__ import annotations

import http.client
import threading
import time
from urllib.parse import quote

from benchmarks.monitoring.figures import Cost
from benchmarks.processes import cpu_seconds

ASKERS = 16


class FailedProbeError(Exception):
    """The exporter says that a probe failed: the figures would compare different work."""


def measure(port: int, pid: int, url: str, seconds: float) -> Cost:
    """CPU of the exporter alone; who asks it is not counted."""
    counts = [0] * ASKERS
    failed: list[str] = []
    ends = time.monotonic() + seconds
    path = f"/probe?module=check&target={quote(url, safe='')}"

    def ask(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while time.monotonic() < ends and not failed:
            connection.request("GET", path)
            text = connection.getresponse().read().decode()
            if "probe_success 1" not in text:
                failed.append(text)
            counts[number] += 1
        connection.close()

    before = cpu_seconds(pid)
    threads = [threading.Thread(target=ask, args=[number]) for number in range(ASKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise FailedProbeError(f"{FailedProbeError.__doc__} {failed[0][-300:]}")
    return Cost(sum(counts), cpu_seconds(pid) - before, seconds)
