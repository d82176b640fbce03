"""A process told apart from every other one, a later one of the same number included."""

from __future__ import annotations

import hashlib
import os
import socket
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple


class _Stat(NamedTuple):
    state: str
    threads: int
    started: str  # in ticks since the machine's start


@cache
def machine() -> str:
    """A mark of the processes whose numbers we can look up: of this machine since its start, and
    of this container. Empty where that cannot be told."""
    try:
        parts = [
            Path("/proc/sys/kernel/random/boot_id").read_text(),
            os.readlink("/proc/self/ns/pid"),
        ]
    except OSError:
        return ""
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/time"))  # whose clock `started` is read by
    text = "\n".join([socket.gethostname(), *parts])
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def own_mark() -> str:
    """What no other process has beside our number: when we began, and where."""
    return _mark_of(os.getpid())


@cache
def _mark_of(pid: int) -> str:
    stat = _stat(pid) if machine() else None
    return f"{stat.started}.{machine()}" if stat else ""


def is_gone(pid: int, mark: str) -> bool:
    """The process of this number and mark is no more. `False` whenever that is not sure: it ran
    elsewhere, or nothing can be seen of it."""
    started, _, where = mark.partition(".")
    if not where or where != machine() or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass  # somebody else's: /proc may tell
    stat = _stat(pid)
    if stat is None:
        return False
    is_corpse = stat.state in {"Z", "X"} and stat.threads <= 1
    return is_corpse or stat.started != started


def _stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        fields = text.rpartition(")")[2].split()  # a program's name may hold anything
        return _Stat(fields[0], int(fields[17]), fields[19])
    except (OSError, ValueError, IndexError):
        return None
