"""django-q2 by itself: its ORM broker, its own `qcluster`, its defaults.

The number of workers and the database's options are ours, so that only the queues differ. With
Django's own options it would fail on SQLite ("database is locked") and, on PostgreSQL, connect anew
for each message.
"""

from __future__ import annotations

import os

from hostmaster.core.jobs.lanes import Lane
from hostmaster.settings import DATABASES, IS_SQLITE, LANE_SIZES, SECRET_KEY

__all__ = ["DATABASES", "SECRET_KEY"]

if not IS_SQLITE:
    DATABASES["default"]["CONN_MAX_AGE"] = 60
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TIME_ZONE = "UTC"
USE_TZ = True
INSTALLED_APPS = ["django.contrib.contenttypes", "django_q", "benchmarks.work"]
Q_CLUSTER = {
    "orm": "default",
    "workers": LANE_SIZES[Lane(os.environ["BENCHMARK_LANE"])].workers,
}
