"""The product's settings with every default, and one kind of job that does nothing much."""

from __future__ import annotations

from hostmaster.settings import *  # noqa: F403 — a settings module extends another so
from hostmaster.settings import INSTALLED_APPS

INSTALLED_APPS += ["benchmarks.work", "benchmarks.ours"]
