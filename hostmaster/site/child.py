"""Becomes the command after the process id, and dies with the process of that id:
`python -m hostmaster.site.child PARENT_PID COMMAND…`.

Where the kernel cannot do that (macOS) the command outlives a parent killed by SIGKILL.
"""

from __future__ import annotations

import os
import sys

from hostmaster.core.cluster.orphans import die_with_parent

if __name__ == "__main__":
    if sys.platform == "linux":
        die_with_parent(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 our parent's command line, no shell
