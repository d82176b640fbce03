"""Migrate the databases that the tests copy, before the first test: `python -m tests.templates`.

In a test's own setup it would count against that test's time limit.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import django


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    from tests.projects import ProjectMaker

    shared = Path(os.environ["TEST_TEMPLATES"])
    url = os.environ.get("TEST_POSTGRESQL_URL")
    maker = ProjectMaker(shared, url, shared)
    with ThreadPoolExecutor() as pool:
        list(pool.map(maker.template, ["sqlite", "postgresql"] if url else ["sqlite"]))


if __name__ == "__main__":
    main()
