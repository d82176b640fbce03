"""`python -m benchmarks.monitoring.pages`: how long the list of monitors takes, through the whole
of Django, in the database that DATABASE_URL names. Prints JSON.
"""

from __future__ import annotations

import json
import random
import sys
import time
from typing import Any

import django

ASKED = 40


def main() -> int:
    django.setup()
    from django.contrib.auth.models import User
    from django.test import Client

    from hostmaster.core.tenants.models import Tenant
    from hostmaster.core.tenants.services import create_token
    from monitors.models import Monitor

    tenant = Tenant.objects.get(pk=Monitor.objects.values_list("tenant", flat=True)[0])
    token = create_token(tenant, "benchmark", "viewer").plain_text
    client = Client(HTTP_HOST="127.0.0.1")
    client.force_login(User.objects.create_superuser("benchmark"))
    pages = range(1, 90)
    figures = {
        "api": _times(
            client, "/api/v1/monitors?page={}", pages, {"Authorization": f"Bearer {token}"}
        ),
        "admin": _times(client, "/admin/monitors/monitor/?p={}", pages, {}),
    }
    print(json.dumps(figures))
    return 0


def _times(client: Any, path: str, pages: range, headers: dict[str, str]) -> dict[str, float]:
    taken = []
    for number in range(ASKED + 3):
        started = time.perf_counter()
        answer = client.get(path.format(random.choice(pages)), headers=headers)
        if answer.status_code != 200:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.content[:300]!r}")
        if number >= 3:  # the first load modules and templates
            taken.append(1000 * (time.perf_counter() - started))
    taken.sort()
    return {"p50_ms": taken[len(taken) // 2], "p95_ms": taken[int(len(taken) * 0.95) - 1]}


if __name__ == "__main__":
    sys.exit(main())
