"""Running checks to their end, and seeing that they end in time."""

from __future__ import annotations

import time
from typing import Any

from monitors.probes.http import HttpEngine
from monitors.probes.types import Observation, Target


def check(engine: HttpEngine, url: str, **fields: Any) -> Observation:
    """The observation of one check, which must be there a second after its time-out at last."""
    fields = {"kind": "http", "timeout_seconds": 3.0, **fields}
    return check_all(engine, {url: Target(url=url, **fields)})[url]


def check_all(engine: HttpEngine, targets: dict[str, Target]) -> dict[str, Observation]:
    began = time.monotonic()
    for key, target in targets.items():
        engine.add(key, target)
    longest = max(target.timeout_seconds for target in targets.values())
    seen: dict[str, Observation] = {}
    while engine.in_flight:
        seen.update({str(key): observation for key, observation in engine.poll(0.5)})
        assert time.monotonic() - began < longest + 1.0, "a check ran past its time-out"
    assert seen.keys() == targets.keys()
    return seen
