"""TCP checks: is somebody listening? A connection is made, nothing is said, it is closed.

Any port may be tried, for nothing is sent that a service could take for a command. The engine
does the work, so that names are looked up without blocking and within the time-out.
"""

from __future__ import annotations

import time
from typing import Final

from monitors.probes.http import HttpEngine
from monitors.probes.types import Observation, Target, failure

_GRACE_SECONDS: Final = 1.0


def probe_tcp(target: Target) -> Observation:
    """Check one target and wait for it. Many at once are added to an `HttpEngine`."""
    deadline = time.monotonic() + target.timeout_seconds + _GRACE_SECONDS
    with HttpEngine(1) as engine:
        engine.add("", target)
        while time.monotonic() < deadline:
            for _, observation in engine.poll(deadline - time.monotonic()):
                return observation
    return failure("timeout", f"No connection within {target.timeout_seconds:g} s.")
