"""What one scan of an AWS account costs beside boto3 and Cloud Custodian: `python
benchmarks/aws_scan.py --help`; `benchmarks/README.md` says what each figure means.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> int:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # run as a file, by its path
    from benchmarks.aws import comparison

    return comparison.main()


if __name__ == "__main__":
    sys.exit(main())
