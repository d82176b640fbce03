"""Children of the web server and of `manage.py quickstart`: started, watched, stopped by id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings


@dataclass
class Child:
    """One command, started in a session of its own: a Ctrl-C reaches it only through us."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path | None = None  # None: it writes where we write
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        output = self.log.open("wb") if self.log else None
        try:
            self.process = subprocess.Popen(  # noqa: S603 our own command line
                [
                    *(sys.executable, "-m", "hostmaster.site.child", str(os.getpid())),
                    *self.command,
                ],
                cwd=settings.BASE_DIR,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        finally:
            if output is not None:
                output.close()

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        if self.log is None or not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def stop(children: Iterable[Child], grace_seconds: float) -> None:
    """All at once, politely; what still runs after `grace_seconds` is killed with its session."""
    running = [child.process for child in children if child.process and child.is_running()]
    for process in running:
        process.send_signal(signal.SIGTERM)
    ends = time.monotonic() + grace_seconds
    for process in running:
        try:
            process.wait(max(ends - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def workers_command() -> list[str]:
    return [sys.executable, str(settings.BASE_DIR / "manage.py"), "qcluster"]


def web_command(port: int) -> list[str]:
    """A browser that holds a stream open does not hold up the end for more than 3 s."""
    return [
        *(sys.executable, "-m", "uvicorn", "hostmaster.asgi:application"),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--timeout-graceful-shutdown", "3", "--log-level", "warning"),
    ]
