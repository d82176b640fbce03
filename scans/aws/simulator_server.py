"""The process of the AWS simulator: `python -m scans.aws.simulator_server PORT AGE_DAYS`.

moto's own server, with two things it lacks: it ends with the process that started it, however
that one ends, and what is created in it looks AGE_DAYS old, as in an account that has lived a
while. Needs requirements-simulator.txt; nothing else imports this module.
"""

from __future__ import annotations

import os
import sys
import threading
from datetime import datetime, timedelta


def main(port: str, age_days: str) -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    from moto import server
    from moto.core.utils import utcnow
    from moto.ec2.models import elastic_block_store, instances

    age = timedelta(days=float(age_days))

    def some_time_ago() -> datetime:
        created_at: datetime = utcnow() - age
        return created_at

    elastic_block_store.utcnow = some_time_ago  # type: ignore[attr-defined] # moto's import
    instances.utcnow = some_time_ago  # type: ignore[attr-defined] # likewise
    server.main(["-H", "127.0.0.1", "-p", port])


def _leave_with_parent() -> None:
    """The parent holds the other end of stdin and writes nothing: its end is the parent's end."""
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
