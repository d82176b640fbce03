"""Run by test_silent_names in a network of its own, where DNS never answers: checks many names,
and what else goes on meanwhile. Prints what it saw as JSON."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Hashable
from pathlib import Path

import django


def main() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    resolv = Path(sys.argv[1])
    resolv.write_text("nameserver 127.0.0.77\n")
    subprocess.run(["mount", "--bind", str(resolv), "/etc/resolv.conf"], check=True)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()

    from django.conf import settings

    from monitors.probes.http import HttpEngine
    from monitors.probes.tcp import probe_tcp
    from monitors.probes.types import Observation, Target
    from tests.hostile_destinations import Sink

    settings.HOSTMASTER_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.77", 53))
    began = time.monotonic()
    engine = HttpEngine(500)
    for number in range(100):  # five times what libcurl has threads for
        engine.add(number, Target("http", f"http://n{number}.example.com/", timeout_seconds=3.0))
    seen: dict[Hashable, Observation] = {}
    added, longest = False, 0.0
    with Sink() as sink:
        while engine.in_flight or not added:
            polled = time.monotonic()
            if polled - began > 1.5 and not added:
                added = True
                # A name in /etc/hosts is found, if only a thread is free to look.
                url = f"tcp://{socket.gethostname()}:{sink.port}"
                settings.HOSTMASTER_ALLOWED_NETWORKS = ["0.0.0.0/0"]
                engine.add("known", Target("tcp", url, timeout_seconds=1.0))
            seen.update(engine.poll(0.1))
            longest = max(longest, time.monotonic() - polled)
    ended = time.monotonic() - began
    before = time.monotonic()
    alone = probe_tcp(Target("tcp", "tcp://one.example.com:80", timeout_seconds=1.0))
    alone_seconds = time.monotonic() - before
    before = time.monotonic()
    engine.close()
    result = {
        "codes": sorted({seen[number].error_code for number in range(100)}),
        "message": seen[0].error_message,
        "ended_seconds": ended,
        "longest_poll_seconds": longest,
        "known": [seen["known"].success, seen["known"].error_message],
        "alone": [alone.error_code, alone_seconds],
        "close_seconds": time.monotonic() - before,
    }
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()
    os._exit(0)  # threads of lookups that hang are not waited for


if __name__ == "__main__":
    main()
