"""Settings from the environment (and `.env`). Each name also as NAME_FILE, a file that holds the
value. `docs/settings.md` explains every name; wrong values are system checks with a hint.
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ

from hostmaster.core.jobs.lanes import Lane, LaneSize, cluster_settings
from hostmaster.core.logs import logging_settings

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.FileAwareEnv()
environ.Env.read_env(os.environ.get("DOTENV_PATH", str(BASE_DIR / ".env")))

ENV = env.str("ENV", env.str("NODE_ENV", "development"))
IS_PRODUCTION = ENV in {"production", "staging"}
DEBUG = env.bool("DEBUG", not IS_PRODUCTION)
SECRET_KEY = env.str("SECRET_KEY", "")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
ENCRYPTION_KEY = env.str("ENCRYPTION_KEY", "")
ENCRYPTION_KEYS_OLD = env.list("ENCRYPTION_KEYS_OLD", default=[])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
PUBLIC_URL = env.str("PUBLIC_URL", "http://127.0.0.1:8000")

# Ours come before django_q: `qcluster` is our command.
INSTALLED_APPS = [
    "hostmaster.core.jobs",
    "hostmaster.core.tenants",
    "hostmaster.core.health",
    "hostmaster.core.metrics",
    "scans",
    "hostmaster.site",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "axes",
    "ninja",
    "django_q",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "hostmaster.core.web.csp.content_security_policy",
    "hostmaster.core.web.api_gate.api_gate",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "hostmaster.urls"
ASGI_APPLICATION = "hostmaster.asgi.application"
WSGI_APPLICATION = "hostmaster.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES: dict[str, dict[str, Any]] = {
    "default": env.db_url("DATABASE_URL", f"sqlite:///{BASE_DIR / 'db.sqlite3'}")
}
_DATABASE = DATABASES["default"]
IS_SQLITE = _DATABASE["ENGINE"].endswith("sqlite3")
if IS_SQLITE:
    # All three or none: WAL alone makes a reader that turns writer fail at once.
    _DATABASE["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    _DATABASE["CONN_MAX_AGE"] = 60
    _DATABASE.setdefault("OPTIONS", {})["connect_timeout"] = 5

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Where `collectstatic` ran: compressed files whose names carry their hash. Elsewhere whitenoise
# serves each app's files as they are, so a fresh clone needs no build step, DEBUG on or off.
_COLLECTED = BASE_DIR / "staticfiles"
_IS_COLLECTED = "collectstatic" in sys.argv or (
    IS_PRODUCTION and (_COLLECTED / "staticfiles.json").exists()
)
STATIC_ROOT = _COLLECTED if _IS_COLLECTED else None
WHITENOISE_USE_FINDERS = not _IS_COLLECTED
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if _IS_COLLECTED
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# Web security. nosniff, same-origin opener and referrer and DENY for frames are Django's defaults.
# Scheme and client address come from uvicorn, which believes a proxy's headers only when the
# proxy is named in FORWARDED_ALLOW_IPS; Django is told to believe none.
SECURE_CSP = {
    "default-src": ["'self'"],
    "img-src": ["'self'", "data:"],
    "object-src": ["'none'"],
    "base-uri": ["'self'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
}
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_PRODUCTION
SESSION_COOKIE_NAME = "__Host-sessionid" if IS_PRODUCTION else "sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken" if IS_PRODUCTION else "csrftoken"
CSRF_COOKIE_HTTPONLY = True  # pages carry the token in the form or a data attribute
SECURE_HSTS_SECONDS = 31_536_000 if IS_PRODUCTION else 0
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # HSTS for subdomains: the domain above is not ours to decide about
    "security.W008",  # the redirect to https is the proxy's; probes ask over plain http
    "security.W021",  # nor is preloading
]
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
API_RATE_PER_MINUTE = env.int("API_RATE_PER_MINUTE", 600)  # requests, for each token

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_CALLABLE = "hostmaster.core.web.lockout.locked_out"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # the page says when; that holds
AXES_CLIENT_IP_CALLABLE = "hostmaster.core.web.lockout.client_address"
AXES_VERBOSE = False

# Jobs
REDIS_URL = env.str("REDIS_URL", "")
WORKER_CONCURRENCY = env.int("WORKER_CONCURRENCY", 5)
CONCURRENCY = env.int("CONCURRENCY", 5)
MAX_RETRIES = env.int("MAX_RETRIES", 3)
RETRY_DELAY = env.int("RETRY_DELAY", 5000)  # ms
SHUTDOWN_GRACE_SECONDS = env.int("SHUTDOWN_GRACE_SECONDS", 30)
WORKER_PORT = env.int("WORKER_PORT", 0)
LEASE_SECONDS = env.float("LEASE_SECONDS", 45.0)
LEASE_RENEW_SECONDS = env.float("LEASE_RENEW_SECONDS", 10.0)
TICK_SECONDS = env.float("TICK_SECONDS", 1.0)
WATCHDOG_SECONDS = env.float("WATCHDOG_SECONDS", 120.0)

LANE_SIZES = {
    Lane.ALERTS: LaneSize(workers=2, timeout_seconds=60, recycle=500),
    Lane.DEFAULT: LaneSize(workers=2, timeout_seconds=60, recycle=500),
    Lane.SCANS: LaneSize(workers=WORKER_CONCURRENCY, timeout_seconds=1800, recycle=50),
}
if REDIS_URL:
    _BROKER: dict[str, Any] = {"redis": REDIS_URL}
elif IS_SQLITE:
    _BROKER = {"orm": "default"}
else:
    _BROKER = {"orm": "default", "broker_class": "hostmaster.core.jobs.brokers.NotifyBroker"}
Q_CLUSTER = cluster_settings(LANE_SIZES, poll_seconds=0.1 if IS_SQLITE else 1.0, **_BROKER)

# Logs: one JSON object a line, or text for people; secrets masked in both.
LOG_FORMAT = env.str("LOG_FORMAT", "json" if IS_PRODUCTION else "text")
LOG_LEVEL = env.str("LOG_LEVEL", "INFO")
LOGGING = logging_settings(LOG_FORMAT, LOG_LEVEL)

# AWS
AWS_ENDPOINT_URL = env.str("AWS_ENDPOINT_URL", "")

# URL scans
CONTAINER_TIMEOUT_MS = env.int("CONTAINER_TIMEOUT_MS", 30_000)

RUNNING_TESTS = "pytest" in sys.modules
