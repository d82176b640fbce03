"""Settings of the test suite: keys of its own, cheap hashes, a file or TEST_DATABASE_URL."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

# Nothing of the developer's own `.env` or shell may decide how a test ends.
os.environ["DOTENV_PATH"] = os.devnull
os.environ["ENV"] = "development"
os.environ["DATABASE_URL"] = os.environ.get("TEST_DATABASE_URL") or "sqlite://:memory:"
os.environ["SECRET_KEY"] = "tests-only-tests-only-tests-only-tests-only-tests-only"
os.environ["ENCRYPTION_KEY"] = "0123456789abcdef" * 4
os.environ["DEBUG"] = "0"
os.environ["START_WORKERS"] = "0"
os.environ["HEALTH_CHECK_SECONDS"] = "30"  # a busy machine is not what the tests ask about

from hostmaster.settings import *  # noqa: F403 — a settings module extends another so
from hostmaster.settings import DATABASES, INSTALLED_APPS, IS_SQLITE

if IS_SQLITE:
    # A file, not memory: threads and processes need connections of their own.
    DATABASES["default"]["TEST"] = {
        "NAME": Path(tempfile.gettempdir()) / f"hostmaster-test-{os.getpid()}.sqlite3"
    }
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
INSTALLED_APPS += ["tests.kernel_app"]
