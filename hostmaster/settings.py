"""Settings from the environment (and `.env`). Each name also as NAME_FILE, a file that holds the
value. `docs/settings.md` explains every name; wrong values are system checks with a hint.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django_stubs_ext

from hostmaster.core.jobs.lanes import Lane, LaneSize, cluster_settings
from hostmaster.core.logs import logging_settings
from hostmaster.environment import Environment, old_database_url, old_redis_url, read_dotenv

django_stubs_ext.monkeypatch()  # `ModelAdmin[Row]` at run time, as the type checker reads it

BASE_DIR = Path(__file__).resolve().parent.parent

read_dotenv(BASE_DIR)
env = Environment()  # keeps what it found wrong for hostmaster.checks

_ENVS = ["development", "staging", "production"]
ENV = env.str("ENV", env.str("NODE_ENV", "development", choices=_ENVS), choices=_ENVS)
if env.problems:
    ENV = "production"  # misspelt: the safe side
IS_PRODUCTION = ENV in {"production", "staging"}
DEBUG = env.bool("DEBUG", not IS_PRODUCTION)
SECRET_KEY = env.str("SECRET_KEY")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS")
ENCRYPTION_KEY = env.str("ENCRYPTION_KEY")
ENCRYPTION_KEYS_OLD = env.list("ENCRYPTION_KEYS_OLD")
PUBLIC_URL = env.url("PUBLIC_URL", "http://127.0.0.1:8000", schemes=["http", "https"]).rstrip("/")
_PUBLIC = urlsplit(PUBLIC_URL)
_LOOPBACK = ["127.0.0.1", "localhost", "[::1]"]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", [*_LOOPBACK, _PUBLIC.hostname or ""])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", [f"{_PUBLIC.scheme}://{_PUBLIC.netloc}"])
HOSTMASTER_ALLOWED_NETWORKS = env.list("HOSTMASTER_ALLOWED_NETWORKS")
METRICS_TOKEN = env.str("METRICS_TOKEN")

# Ours come before django_q: `qcluster` is our command.
INSTALLED_APPS = [
    "hostmaster.core.cluster",
    "hostmaster.core.jobs",
    "hostmaster.core.tenants",
    "hostmaster.core.health",
    "hostmaster.core.metrics",
    "hostmaster.core.live",
    "scans",
    "monitors",
    "alerts",
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
# A worker serves no pages. Without these a lane's process takes 59 MB instead of 73.
IS_WORKER = sys.argv[1:2] in (["qcluster"], ["run_monitors"])
if IS_WORKER:
    INSTALLED_APPS = [app for app in INSTALLED_APPS if app not in {"axes", "ninja"}]
    INSTALLED_APPS[INSTALLED_APPS.index("django.contrib.admin")] = (
        "django.contrib.admin.apps.SimpleAdminConfig"
    )

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
    "default": env.db_url("DATABASE_URL", old_database_url(env, BASE_DIR))
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
    # Opening the file anew for each look at the queue took 9.7 % of a core instead of 4.2 %.
    _DATABASE["CONN_MAX_AGE"] = 600 if IS_WORKER else 0
else:
    # Under ASGI each request may meet another thread: kept connections would pile up.
    _DATABASE["CONN_MAX_AGE"] = 60 if IS_WORKER else 0
    _DATABASE["CONN_HEALTH_CHECKS"] = True
    # A host that is gone without a word is noticed within a minute.
    _DATABASE["OPTIONS"] = {
        "connect_timeout": 5,
        "keepalives_idle": 20,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
        **_DATABASE.get("OPTIONS", {}),
    }

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Where `collectstatic` ran: compressed files whose names carry their hash. Elsewhere whitenoise
# serves each app's files as they are, so a fresh clone needs no build step, DEBUG on or off.
_COLLECTED = Path(env.str("STATIC_ROOT", str(BASE_DIR / "staticfiles")))
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
API_RATE_PER_MINUTE = env.int("API_RATE_PER_MINUTE", 600, 1)  # requests, for each token

AUTHENTICATION_BACKENDS = [
    "hostmaster.core.web.lockout.LockoutBackend",
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
START_WORKERS = env.bool("START_WORKERS", ENV == "development")
REDIS_URL = env.url("REDIS_URL", old_redis_url(env), schemes=["redis", "rediss"])
WORKER_CONCURRENCY = env.int("WORKER_CONCURRENCY", 5, 1, 100)
CONCURRENCY = env.int("CONCURRENCY", 5, 1, 100)
MAX_RETRIES = env.int("MAX_RETRIES", 3, 0, 100)
RETRY_DELAY = env.int("RETRY_DELAY", 5000, 1)  # ms
SHUTDOWN_GRACE_SECONDS = env.int("SHUTDOWN_GRACE_SECONDS", 30, 6, 3600)
WORKER_PORT = env.int("WORKER_PORT", 0, 0, 65535)
LEASE_SECONDS = env.float("LEASE_SECONDS", 45.0, 1)
LEASE_RENEW_SECONDS = env.float("LEASE_RENEW_SECONDS", 10.0, 0.1)
TICK_SECONDS = env.float("TICK_SECONDS", 1.0, 0.05)
HEARTBEAT_SECONDS = env.float("HEARTBEAT_SECONDS", 15.0, 0.5)
WATCHDOG_SECONDS = env.float("WATCHDOG_SECONDS", 120.0, 1)
HEALTH_CHECK_SECONDS = env.float("HEALTH_CHECK_SECONDS", 0.9, 0.1)
LIVE_POLL_SECONDS = env.float("LIVE_POLL_SECONDS", 1.0 if IS_SQLITE else 5.0, 0.05)

# When periodic work runs: six fields, seconds last. Empty: as its schedule says by itself.
HEALTH_CHECK_SCHEDULE = env.str("HEALTH_CHECK_SCHEDULE")
SSL_CHECK_SCHEDULE = env.str("SSL_CHECK_SCHEDULE")
ALERT_EVALUATION_SCHEDULE = env.str("ALERT_EVALUATION_SCHEDULE")
NOTIFICATION_SCHEDULE = env.str("NOTIFICATION_SCHEDULE")
COMPONENT_HEALTH_SCHEDULE = env.str("COMPONENT_HEALTH_SCHEDULE")

LANE_SIZES = {
    Lane.ALERTS: LaneSize(workers=2, timeout_seconds=60, recycle=500),
    Lane.DEFAULT: LaneSize(workers=2, timeout_seconds=60, recycle=500),
    Lane.SCANS: LaneSize(workers=WORKER_CONCURRENCY, timeout_seconds=1800, recycle=50),
}
if REDIS_URL:
    _BROKER: dict[str, Any] = {"redis": REDIS_URL}
elif IS_SQLITE:
    _BROKER = {"orm": "default", "broker_class": "hostmaster.core.jobs.brokers.RowBroker"}
else:
    _BROKER = {"orm": "default", "broker_class": "hostmaster.core.jobs.brokers.NotifyBroker"}
Q_CLUSTER = cluster_settings(LANE_SIZES, poll_seconds=0.1 if IS_SQLITE else 1.0, **_BROKER)

# Logs: one JSON object a line, or text for people; secrets masked in both.
LOG_FORMAT = env.str("LOG_FORMAT", "json" if IS_PRODUCTION else "text", choices=["json", "text"])
LOG_LEVEL = env.str("LOG_LEVEL", "INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
LOGGING = logging_settings(LOG_FORMAT, LOG_LEVEL)

# AWS
AWS_ENDPOINT_URL = env.url("AWS_ENDPOINT_URL", schemes=["http", "https"])
AWS_SIMULATOR_URL = env.url("AWS_SIMULATOR_URL", schemes=["http", "https"])
AWS_PRINCIPAL_ARN = env.str("AWS_PRINCIPAL_ARN")
AWS_ATTEMPTS = env.int("AWS_ATTEMPTS", 10, 1, 20)
AWS_READ_TIMEOUT_SECONDS = env.float("AWS_READ_TIMEOUT_SECONDS", 30, 0.1)
AWS_METRICS_DAYS = env.int("AWS_METRICS_DAYS", 14, 3, 60)

# URL scans
FETCHER_IMAGE = env.str("FETCHER_IMAGE", "safeurl-fetcher:latest")
FETCHER_RUNTIME = env.str("FETCHER_RUNTIME", "docker")
CONTAINER_RUNTIME = env.str("CONTAINER_RUNTIME")
DOCKER_SOCKET_PATH = env.str("DOCKER_SOCKET_PATH", "/var/run/docker.sock")
CONTAINER_TIMEOUT_MS = env.int("CONTAINER_TIMEOUT_MS", 30_000, 1_000, 600_000)
CONTAINER_MEMORY_LIMIT_MB = env.int("CONTAINER_MEMORY_LIMIT_MB", 512, 64)
CONTAINER_CPU_LIMIT = env.float("CONTAINER_CPU_LIMIT", 0.5, 0.05)

# Monitors, search, mail, errors
MONITOR_CONCURRENCY = env.int("MONITOR_CONCURRENCY", 500, 1, 10_000)
MONITOR_HOST_CONCURRENCY = env.int("MONITOR_HOST_CONCURRENCY", 4, 1, 10_000)
MONITOR_TENANT_CONCURRENCY = env.int("MONITOR_TENANT_CONCURRENCY", 250, 1, 10_000)
MONITOR_CERTIFICATE_SECONDS = env.int("MONITOR_CERTIFICATE_SECONDS", 300, 1, 86_400)
MONITOR_CA_BUNDLE = env.str("MONITOR_CA_BUNDLE")
ELASTICSEARCH_URL = env.url("ELASTICSEARCH_URL", schemes=["http", "https"])
vars().update(env.email_url("EMAIL_URL", "consolemail://"))
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "hostmaster@localhost")
SENTRY_DSN = env.url("SENTRY_DSN", schemes=["https", "http"])
SLOW_QUERY_MS = env.int("SLOW_QUERY_MS", 500, 0)

CACHES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}
if REDIS_URL:
    CACHES["default"] = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "hostmaster",
    }

RUNNING_TESTS = "pytest" in sys.modules

# For hostmaster.checks, and for the test that compares names with the documents.
ENVIRONMENT_NAMES = frozenset(env.names)
ENVIRONMENT_PROBLEMS = tuple(env.problems)
