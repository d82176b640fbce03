"""Changes of incidents that another program writes by plain SQL are told as ours are."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from alerts.adoption import adopt_ends
from alerts.incidents import adopt_end
from alerts.models import Incident, Notification, Resolution
from alerts.services import silence
from alerts.tasks import evaluate
from monitors.models import Monitor
from tests.factories import make_channel, make_check, make_checks, make_monitor, make_rule

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def down(**rule: Any) -> Monitor:
    """A monitor whose open incident is owed to a channel."""
    monitor = make_monitor()
    channel = make_channel(tenant=monitor.tenant)
    make_rule(tenant=monitor.tenant, threshold=1, channels=[channel], **rule)
    make_checks(monitor, False)
    evaluate()
    return monitor


def write(status: str, **columns: Any) -> None:
    """As another program changes the only incident there is."""
    fields = {"status": status, **columns}
    named = ", ".join(f"{name} = %s" for name in fields)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE incidents SET {named}", list(fields.values()))


def owed() -> list[tuple[str, str]]:
    return list(Notification.objects.order_by("seq").values_list("event", "state"))


def test_an_end_of_plain_sql_is_told_once() -> None:
    down()
    write("resolved")
    evaluate()
    evaluate()
    over = Incident.objects.get()
    assert (over.status, over.resolution) == ("resolved", Resolution.BY_PERSON)
    assert over.resolved_at is not None
    assert owed() == [("opened", "PENDING"), ("resolved", "PENDING")]
    line = over.events.get(kind="resolved")
    assert (line.actor, line.note) == ("another program", "Resolved by a person.")


def test_an_end_of_plain_sql_keeps_its_instant() -> None:
    down()
    ended_at = timezone.now()
    write("resolved", resolved_at=str(ended_at))
    evaluate()
    assert Incident.objects.get().resolved_at == ended_at


def test_what_plain_sql_resolved_opens_anew_with_the_next_failure_only() -> None:
    monitor = down()
    write("resolved", resolved_at=str(timezone.now() + timedelta(days=1)))
    evaluate()
    assert Incident.objects.count() == 1
    make_check(monitor=monitor, success=False)
    evaluate()
    assert list(Incident.objects.unresolved().values_list("monitor", flat=True)) == [monitor.pk]


def test_two_that_read_the_same_end_tell_it_once() -> None:
    down()
    write("resolved")
    first, second = (Incident.objects.ended_by_others().get() for _ in range(2))
    assert adopt_end(first)
    assert not adopt_end(second)
    assert owed() == [("opened", "PENDING"), ("resolved", "PENDING")]


def test_the_end_of_what_nobody_was_told_of_is_told_to_nobody() -> None:
    monitor = make_monitor()
    silence(monitor.tenant, reason="moving", until=timezone.now() + timedelta(hours=1))
    channel = make_channel(tenant=monitor.tenant)
    make_rule(tenant=monitor.tenant, threshold=1, channels=[channel])
    make_checks(monitor, False)
    evaluate()
    write("resolved")
    evaluate()
    assert owed() == [("opened", "SUPPRESSED"), ("resolved", "SUPPRESSED")]


def test_what_was_inserted_and_resolved_before_we_looked_is_told_to_nobody() -> None:
    rule = make_rule()
    rule.channels.add(make_channel(tenant=rule.tenant))
    Incident.objects.create(alert_rule=rule, monitor=make_monitor(tenant=rule.tenant))
    write("resolved")
    evaluate()
    evaluate()
    over = Incident.objects.get()
    assert over.announced_at is not None
    assert over.resolved_at is not None
    assert owed() == []


def test_an_acknowledgement_of_plain_sql_is_told_once() -> None:
    down()
    write("acknowledged")
    evaluate()
    evaluate()
    incident = Incident.objects.get()
    assert incident.acknowledged_at is not None
    assert incident.events.get(kind="acknowledged").actor == "another program"
    assert owed() == [("opened", "PENDING"), ("acknowledged", "PENDING")]


def test_one_that_cannot_be_read_hides_no_other() -> None:
    monitor = down()
    unreadable = "infinity" if connection.vendor == "postgresql" else "yesterday"
    rule = Incident.objects.get().alert_rule
    other = make_monitor(tenant=monitor.tenant)
    Incident.objects.create(alert_rule=rule, monitor=other, announced_at=timezone.now())
    rows = Incident.objects.filter(monitor=other)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE incidents SET started_at = %s, status = 'resolved' WHERE id = %s",
            [unreadable, rows.values_list("pk").get()[0].hex],
        )
        cursor.execute(
            "UPDATE incidents SET status = 'resolved' WHERE monitor_id = %s", [monitor.pk.hex]
        )
    evaluate()
    ended = Incident.objects.filter(resolution=Resolution.BY_PERSON)
    assert list(ended.values_list("monitor", flat=True)) == [monitor.pk]


def test_looking_for_ends_reads_no_history() -> None:
    """By the partial index, which holds what is not adopted yet: nothing as a rule."""
    rule = make_rule()
    now = timezone.now()
    Incident.objects.bulk_create(
        Incident(
            id=uuid.uuid4(),
            alert_rule=rule,
            status="resolved",
            resolution="recovered",
            announced_at=now,
            resolved_at=now,
        )
        for _ in range(5000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE incidents")
    with CaptureQueriesContext(connection) as queries:
        assert adopt_ends() == 0
    [query] = queries
    explain = "EXPLAIN " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN "
    with connection.cursor() as cursor:
        cursor.execute(explain + query["sql"])
        assert "incidents_ended_by_others" in str(cursor.fetchall())
