"""What a check costs beside Debian's blackbox exporter, and whether 10,000 monitors are checked on
time: `python benchmarks/monitors.py --help`; `benchmarks/README.md` says what each figure means.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> int:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # run as a file, by its path
    from benchmarks.monitoring import comparison

    return comparison.main()


if __name__ == "__main__":
    sys.exit(main())
