"""`python -m benchmarks.owing HOW COUNT RATE CHANNELS`: fills the outbox of a benchmark, and tells
what it holds. JSON on stdout: by message id, when its transaction was committed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import django
from django.utils import timezone


def main() -> None:
    django.setup()
    how, count, rate, channels = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    found = {
        "warm": lambda: paced(count, 20.0),
        "paced": lambda: paced(count, rate),
        "bulk": lambda: bulk(count, int(channels)),
        "ids": lambda: ids(only_open=False),
        "unfinished": lambda: ids(only_open=True),
    }[how]()
    json.dump(found, sys.stdout)


def paced(count: int, rate: float) -> dict[str, float]:
    """One incident after the other, each opened in a transaction of its own as the product does."""
    from django.db import transaction

    from alerts.models import Incident
    from alerts.outbox import enqueue

    rule = _rule(1)
    sent: dict[str, float] = {}
    started = time.monotonic()
    for number in range(count):
        time.sleep(max(started + number / rate - time.monotonic(), 0))
        with transaction.atomic():
            incident = Incident.objects.create(
                alert_rule=rule, tenant=rule.tenant, announced_at=timezone.now()
            )
            (row,) = enqueue(incident, "opened")
        sent[row.message_id] = time.time()
    return sent


def bulk(count: int, channels: int) -> dict[str, float]:
    from alerts.models import Incident
    from alerts.outbox import enqueue_all

    rule, now = _rule(channels), timezone.now()
    for start in range(0, count // channels, 1000):
        rows = Incident.objects.bulk_create(
            Incident(alert_rule=rule, tenant=rule.tenant, announced_at=now)
            for _ in range(min(1000, count // channels - start))
        )
        enqueue_all(rows, "opened")
    return {}


def ids(*, only_open: bool) -> dict[str, float]:
    from alerts.models import Notification

    rows = Notification.objects.all()
    if only_open:
        rows = rows.open()
    return {f"msg_{key}": 0.0 for key in rows.values_list("pk", flat=True)}


def _rule(channels: int) -> Any:
    """A rule with as many channels that send every message by itself."""
    from alerts.models import AlertRule
    from alerts.services import add_channel
    from hostmaster.core.tenants.models import Tenant

    tenant, _ = Tenant.objects.get_or_create(name="Benchmark")
    rule, is_new = AlertRule.objects.get_or_create(
        tenant=tenant,
        name=f"rule of {channels}",
        kind="url_verdict",  # which nobody judges
    )
    if is_new:
        for number in range(channels):
            rule.channels.add(
                add_channel(
                    tenant,
                    name=f"sink {channels}.{number}",
                    type="webhook",
                    config={"url": os.environ["BENCHMARK_SINK"]},
                    is_grouped=False,
                )
            )
    return rule


if __name__ == "__main__":
    main()
