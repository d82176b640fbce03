"""The product's settings plus the jobs that tests try the kernel with: for real processes."""

from __future__ import annotations

from hostmaster.settings import *  # noqa: F403 — a settings module extends another so
from hostmaster.settings import INSTALLED_APPS

INSTALLED_APPS += ["tests.kernel_app"]
