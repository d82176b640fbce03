"""No process outlives the one that started it, even when that one is killed."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int) -> None:
    """From now on this process is killed when `parent_pid`, its parent, dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent_pid,), daemon=True).start()
    if os.getppid() != parent_pid:  # it died before we asked
        os._exit(1)


def children_die_with_me() -> None:
    """Every process forked from this one later dies with it."""
    me = os.getpid()

    def after_fork() -> None:
        if os.getppid() == me:
            die_with_parent(me)

    os.register_at_fork(after_in_child=after_fork)


def _watch(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        time.sleep(1)
    os._exit(1)
