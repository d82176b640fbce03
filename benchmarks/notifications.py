"""How soon a message goes out, and what kills cost: `python benchmarks/notifications.py --help`;
`benchmarks/README.md` says what each figure means.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> int:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # run as a file, by its path
    from benchmarks import deliveries

    return deliveries.main()


if __name__ == "__main__":
    sys.exit(main())
