"""`python -m benchmarks.migrate`: a contestant's tables, in one process."""

from __future__ import annotations

import django
from django.core.management import call_command


def main() -> None:
    """The benchmarks' apps have no migrations, and what those would follow has to exist first."""
    django.setup()
    call_command("migrate", verbosity=0)
    call_command("migrate", verbosity=0, run_syncdb=True)


if __name__ == "__main__":
    main()
