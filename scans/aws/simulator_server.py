"""The process of the AWS simulator: `python -m scans.aws.simulator_server PORT AGE_DAYS`.

moto's own server, with three things it lacks: it ends with the process that started it, however
that one ends; what is created in it looks AGE_DAYS old, as in an account that has lived a while;
and Cost Explorer answers all that a scan asks. Needs requirements-simulator.txt; nothing else
imports this module.
"""

from __future__ import annotations

import os
import sys
import threading
from datetime import datetime, timedelta


def main(port: str, age_days: str) -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    os.environ["MOTO_PORT"] = port
    from moto.core.utils import utcnow
    from moto.ec2.models import elastic_block_store, instances
    from moto.moto_server import werkzeug_app as moto_server
    from werkzeug.serving import run_simple

    from scans.aws.simulator_costs import WithCosts

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
        WithCosts(server),
        threaded=True,
        request_handler=moto_server.MotoRequestHandler,
    )


def _leave_with_parent() -> None:
    """The parent holds the other end of stdin and writes nothing: its end is the parent's end."""
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
