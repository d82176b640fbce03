"""Settings of the test suite: short intervals, cheap hashes, keys of its own."""

from __future__ import annotations

import os

os.environ.setdefault("SECRET_KEY", "tests-only-tests-only-tests-only-tests-only-tests-only")
os.environ.setdefault("ENCRYPTION_KEY", "0123456789abcdef" * 4)
os.environ.setdefault("DEBUG", "0")

from hostmaster.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
