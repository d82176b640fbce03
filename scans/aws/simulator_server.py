"""The process of the AWS simulator: `python -m scans.aws.simulator_server PORT AGE_DAYS`.

moto's own server, with four things it lacks: it ends with the process that started it, however
that one ends; what is created in it looks AGE_DAYS old, as in an account that has lived a while;
Cost Explorer answers all that a scan asks; and a reset comes after what was asked before it.
Needs requirements-simulator.txt; nothing else imports this module.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable
from datetime import datetime, timedelta
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from scans.aws.simulator_costs import RESET_PATH, WithCosts

QUIET_SECONDS = 20.0


class ResetWhenQuiet:
    """The server, whose reset waits for the answers still being made.

    A client that was killed leaves its request to be answered to nobody: it would read and make
    ids in the account that follows.
    """

    def __init__(self, server: WSGIApplication) -> None:
        self._server = server
        self._answering = 0
        self._changed = threading.Condition()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == RESET_PATH:
            with self._changed:
                self._changed.wait_for(lambda: self._answering == 0, QUIET_SECONDS)
                return self._server(environ, start_response)
        with self._changed:
            self._answering += 1
        try:
            return self._server(environ, start_response)
        finally:
            with self._changed:
                self._answering -= 1
                self._changed.notify_all()


def main(port: str, age_days: str) -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    os.environ["MOTO_PORT"] = port
    from moto.core.utils import utcnow
    from moto.ec2.models import elastic_block_store, instances
    from moto.moto_server import werkzeug_app as moto_server
    from werkzeug.serving import run_simple

    age = timedelta(days=float(age_days))

    def some_time_ago() -> datetime:
        created_at: datetime = utcnow() - age
        return created_at

    elastic_block_store.utcnow = some_time_ago  # type: ignore[attr-defined] # moto's import
    instances.utcnow = some_time_ago  # type: ignore[attr-defined] # likewise
    server = moto_server.DomainDispatcherApplication(moto_server.create_backend_app)
    run_simple(
        "127.0.0.1",
        int(port),
        ResetWhenQuiet(WithCosts(server)),
        threaded=True,
        request_handler=moto_server.MotoRequestHandler,
    )


def _leave_with_parent() -> None:
    """The parent holds the other end of stdin and writes nothing: its end is the parent's end."""
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
