"""Rules are judged from rows anybody may have written, and incidents follow."""

from __future__ import annotations

import uuid
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from alerts.evaluation import evaluate_rules
from alerts.evaluators.types import Scope
from alerts.models import (
    AlertRule,
    Incident,
    IncidentEventKind,
    IncidentStatus,
    Notification,
    Resolution,
)
from alerts.services import acknowledge, resolve
from alerts.tasks import evaluate, run_alert_evaluator
from hostmaster.core.live.models import LiveEvent
from monitors.models import Monitor
from tests.factories import (
    make_channel,
    make_check,
    make_checks,
    make_incident,
    make_monitor,
    make_rule,
    make_tenant,
    make_user,
)

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def watched(**rule: Any) -> tuple[Monitor, AlertRule]:
    """A monitor, a rule about it, and a channel that is told."""
    monitor = make_monitor()
    channel = make_channel(tenant=monitor.tenant)
    return monitor, make_rule(tenant=monitor.tenant, channels=[channel], **rule)


def the_incident() -> Incident:
    return Incident.objects.get()


def test_three_failures_open_an_incident_and_a_success_resolves_it() -> None:
    monitor, rule = watched(threshold=3)
    make_checks(monitor, True, False, False, error_message="connection refused")
    evaluate()
    assert not Incident.objects.exists()

    make_check(monitor=monitor, success=False, error_message="connection refused")
    evaluate()
    opened = the_incident()
    assert (opened.status, opened.monitor, opened.alert_rule) == ("open", monitor, rule)
    assert opened.tenant == monitor.tenant
    assert opened.trigger_value == "The last 3 checks failed: connection refused"
    assert opened.title == f"{monitor.name} is down"
    notification = Notification.objects.get()
    assert (notification.event, notification.incident, notification.state) == (
        "opened",
        opened,
        "PENDING",
    )

    evaluate()
    assert Notification.objects.count() == Incident.objects.count() == 1

    make_check(monitor=monitor)
    evaluate()
    over = the_incident()
    assert (over.status, over.resolution) == (IncidentStatus.RESOLVED, Resolution.RECOVERED)
    assert over.resolved_at is not None
    events = list(Notification.objects.order_by("seq").values_list("event", flat=True))
    assert events == ["opened", "resolved"]
    kinds = list(over.events.values_list("kind", flat=True))
    assert kinds == [IncidentEventKind.OPENED, IncidentEventKind.RESOLVED]
    live = LiveEvent.objects.filter(topic="incident").order_by("pk")
    assert [event.data["event"] for event in live] == ["opened", "resolved"]


def test_an_incident_begins_with_the_first_failed_check() -> None:
    monitor, _ = watched(threshold=2)
    first = make_checks(monitor, True, False, False)[1]
    evaluate()
    assert the_incident().started_at == first.checked_at


def test_rows_of_plain_sql_count_like_ours() -> None:
    monitor, _ = watched(threshold=2)
    with connection.cursor() as cursor:
        for seconds in (2, 1):
            cursor.execute(
                "INSERT INTO monitor_checks (id, monitor_id, checked_at, success) "
                "VALUES (%s, %s, %s, %s)",
                [
                    _uuid(uuid.uuid4()),
                    _uuid(monitor.pk),
                    str(timezone.now() - timedelta(seconds=seconds)),
                    False,
                ],
            )
    evaluate()
    assert the_incident().trigger_value == "The last 2 checks failed: no answer"


@pytest.mark.parametrize("with_dashes", [True, False])
def test_an_incident_of_plain_sql_is_adopted_told_and_resolved(with_dashes: bool) -> None:
    monitor, rule = watched(threshold=3)
    key = uuid.uuid4()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO incidents (id, monitor_id, alert_rule_id, started_at, status) "
            "VALUES (%s, %s, %s, %s, 'open')",
            [
                str(key) if with_dashes else _uuid(key),
                _uuid(monitor.pk),
                _uuid(rule.pk),
                str(timezone.now()),
            ],
        )
    evaluate()
    adopted = the_incident()
    assert (adopted.pk, adopted.tenant, adopted.status) == (key, monitor.tenant, "open")
    assert adopted.title == f"{monitor.name}: {rule.name}"
    assert Notification.objects.get().event == "opened"

    make_checks(monitor, True)
    evaluate()
    assert the_incident().status == "resolved"
    assert list(adopted.events.values_list("kind", flat=True)) == ["adopted", "resolved"]


def test_an_incident_of_the_orm_is_adopted_too() -> None:
    monitor, rule = watched()
    Incident.objects.create(monitor=monitor, alert_rule=rule)
    evaluate()
    assert the_incident().tenant == monitor.tenant
    assert Notification.objects.count() == 1


def test_an_incident_that_cannot_be_read_stops_no_alerting() -> None:
    monitor, rule = watched(threshold=1)
    unreadable = "infinity" if connection.vendor == "postgresql" else "yesterday"
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO incidents (id, alert_rule_id, started_at, status) "
            "VALUES (%s, %s, %s, 'open')",
            [_uuid(uuid.uuid4()), _uuid(rule.pk), unreadable],
        )
    make_checks(monitor, False)
    evaluate()
    ours = Incident.objects.filter(announced_at__isnull=False)
    assert list(ours.values_list("monitor", "status")) == [(monitor.pk, "open")]


@pytest.mark.django_db(transaction=True)
def test_a_second_spelling_of_an_open_incident_stops_no_alerting() -> None:
    """SQLite takes it for another key; PostgreSQL knows UUIDs however they are spelt."""
    monitor, rule = watched()
    make_incident(alert_rule=rule, monitor=monitor)
    other = make_monitor(tenant=monitor.tenant)
    insert = (
        "INSERT INTO incidents (id, monitor_id, alert_rule_id, started_at, status) "
        "VALUES (%s, %s, %s, %s, 'open')"
    )
    with connection.constraint_checks_disabled(), connection.cursor() as cursor:
        for about in (monitor, other):
            values = [uuid.uuid4(), about.pk, rule.pk, timezone.now()]
            with suppress(IntegrityError), transaction.atomic():
                cursor.execute(insert, [str(value) for value in values])
    evaluate()
    adopted = Incident.objects.filter(events__kind="adopted")
    assert list(adopted.values_list("monitor", flat=True)) == [other.pk]


def test_a_resolved_incident_of_another_program_is_told_to_nobody() -> None:
    monitor, rule = watched()
    Incident.objects.create(monitor=monitor, alert_rule=rule, status="resolved")
    evaluate()
    assert the_incident().announced_at is not None
    assert not Notification.objects.exists()


def test_no_data_resolves_nothing() -> None:
    monitor, rule = watched()
    incident = make_incident(alert_rule=rule, monitor=monitor)
    evaluate()
    incident.refresh_from_db()
    assert incident.status == "open"


def test_our_own_outage_is_neither_failure_nor_success() -> None:
    monitor, _ = watched(threshold=2)
    make_checks(monitor, False)
    make_checks(monitor, False, False, error_code="own_outage")
    evaluate()
    assert not Incident.objects.exists()
    make_check(monitor=monitor, success=False)
    evaluate()
    assert the_incident().status == "open"


def test_an_acknowledged_incident_is_resolved_by_recovery() -> None:
    monitor, _ = watched(threshold=1)
    make_checks(monitor, False)
    evaluate()
    acknowledge(the_incident(), make_user())
    evaluate()
    assert the_incident().status == "acknowledged"
    make_check(monitor=monitor)
    evaluate()
    assert the_incident().status == "resolved"


def test_a_paused_monitor_ends_its_incident_and_opens_none() -> None:
    monitor, _ = watched(threshold=1)
    make_checks(monitor, False)
    evaluate()
    Monitor.objects.filter(pk=monitor.pk).update(enabled=False)
    evaluate()
    assert the_incident().resolution == Resolution.MONITOR_PAUSED
    evaluate()
    Monitor.objects.filter(pk=monitor.pk).update(enabled=True)
    evaluate()  # before its first check after the pause
    assert Incident.objects.count() == 1
    make_check(monitor=monitor, success=False)
    evaluate()
    assert Incident.objects.unresolved().count() == 1


def test_a_deleted_monitor_ends_its_incident_and_keeps_its_history() -> None:
    monitor, _ = watched(threshold=1)
    make_checks(monitor, False)
    evaluate()
    monitor.delete()
    over = the_incident()
    assert (over.status, over.resolution) == ("resolved", Resolution.MONITOR_REMOVED)
    assert over.title.endswith("is down")
    assert Notification.objects.filter(event="resolved").count() == 1


def test_a_tenant_with_open_incidents_can_be_deleted() -> None:
    monitor, rule = watched(threshold=1)
    other = make_monitor(tenant=monitor.tenant)
    for one in (monitor, other):
        make_checks(one, False)
    evaluate()
    monitor.tenant.delete()
    assert not Incident.objects.exists()
    assert not AlertRule.objects.filter(pk=rule.pk).exists()


def test_a_disabled_rule_ends_its_incidents() -> None:
    monitor, rule = watched(threshold=1)
    make_checks(monitor, False)
    evaluate()
    AlertRule.objects.filter(pk=rule.pk).update(enabled=False)
    evaluate()
    assert the_incident().resolution == Resolution.RULE_CHANGED


def test_a_rule_that_moves_to_another_monitor_ends_its_incident() -> None:
    monitor, rule = watched(threshold=1)
    make_checks(monitor, False)
    evaluate()
    AlertRule.objects.filter(pk=rule.pk).update(monitor=make_monitor(tenant=monitor.tenant))
    evaluate()
    assert the_incident().resolution == Resolution.RULE_CHANGED


def test_a_rule_in_disorder_changes_nothing_and_stops_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    monitor, rule = watched(threshold=1)
    make_checks(monitor, False)
    evaluate()
    AlertRule.objects.filter(pk=rule.pk).update(params={"colour": "red"})
    good = make_rule(tenant=monitor.tenant, threshold=1)
    make_check(monitor=monitor)
    make_check(monitor=monitor, success=False)
    evaluate()
    assert {i.alert_rule for i in Incident.objects.unresolved()} == {rule, good}
    assert "knows no parameter 'colour'" in caplog.text


def test_what_a_person_resolved_opens_anew_with_the_next_failure_only() -> None:
    monitor, _ = watched(threshold=1)
    make_checks(monitor, False)
    evaluate()
    resolve(the_incident(), make_user())
    evaluate()
    assert Incident.objects.count() == 1
    make_check(monitor=monitor, success=False)
    evaluate()
    assert Incident.objects.count() == 2


def test_a_rule_covers_no_monitor_of_another_tenant() -> None:
    stranger = make_monitor()
    rule = make_rule(threshold=1)
    AlertRule.objects.filter(pk=rule.pk).update(monitor=stranger)
    make_checks(stranger, False)
    evaluate()
    assert not Incident.objects.exists()


def test_a_ring_for_a_monitor_judges_that_one_only() -> None:
    tenant = make_tenant()
    rule = make_rule(tenant=tenant, threshold=1)
    one, two = make_monitor(tenant=tenant), make_monitor(tenant=tenant)
    for monitor in (one, two):
        make_checks(monitor, False)
    evaluate("monitors.Monitor", str(one.pk))
    assert [i.monitor for i in Incident.objects.filter(alert_rule=rule)] == [one]
    evaluate("monitors.Monitor", f"{two.pk},not-a-key,{uuid.uuid4()}")
    assert Incident.objects.count() == 2


def test_reminders_come_until_somebody_acknowledges() -> None:
    monitor, _ = watched(threshold=1, params={"repeat_minutes": 30})
    make_checks(monitor, False)
    evaluate()
    evaluate()
    assert Notification.objects.filter(event="reminder").count() == 0
    _age(minutes=31)
    evaluate()
    evaluate()
    assert Notification.objects.filter(event="reminder").count() == 1
    Incident.objects.update(reminded_at=timezone.now() - timedelta(minutes=31))
    acknowledge(the_incident(), make_user())
    evaluate()
    assert Notification.objects.filter(event="reminder").count() == 1


def test_the_schedule_reports_its_rules_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    monitor, _ = watched(threshold=1)
    make_checks(monitor, False)
    rules = AlertRule.objects.count()
    with caplog.at_level("INFO"):
        report = run_alert_evaluator()
    assert (report.processed, report.succeeded, report.failed) == (rules, rules, 0)
    assert f"Evaluated {rules} alert rules" in caplog.messages
    assert "Created 1 new incident(s)" in caplog.messages


def _age(*, minutes: int) -> None:
    """As if the incidents had been told so long ago."""
    Incident.objects.update(announced_at=timezone.now() - timedelta(minutes=minutes))


def _uuid(key: uuid.UUID) -> str:
    return key.hex if connection.vendor == "sqlite" else str(key)


def test_a_narrow_evaluation_leaves_everything_else_alone() -> None:
    monitor, rule = watched(threshold=1)
    other = make_incident(alert_rule=rule, monitor=make_monitor(tenant=monitor.tenant))
    evaluate_rules(Scope(frozenset({monitor.pk})))
    other.refresh_from_db()
    assert other.status == "open"
