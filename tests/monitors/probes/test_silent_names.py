"""Names whose servers are silent hold up neither their own check nor those of others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import missing

PROJECT = Path(__file__).parents[3]
NAMESPACE = ["unshare", "--map-root-user", "--mount", "--net", "--"]


@pytest.mark.services
def test_silent_dns_delays_nobody(tmp_path: Path) -> None:
    try:
        subprocess.run([*NAMESPACE, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        missing("user namespaces (unshare)")
    command = [*NAMESPACE, sys.executable, "-m", "tests.monitors.probes.silent_names"]
    ran = subprocess.run(
        [*command, str(tmp_path / "resolv.conf")],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout.splitlines()[-1])
    assert seen["codes"] == ["timeout"]
    assert seen["message"] == "The host name was not found within 3 s."
    assert seen["ended_seconds"] < 4
    assert seen["longest_poll_seconds"] < 0.6
    assert seen["known"] == [True, ""]
    assert seen["alone"][0] == "timeout"
    assert seen["alone"][1] < 2
    assert seen["close_seconds"] < 1
