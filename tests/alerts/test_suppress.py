"""Who is not told, why, and when he is told after all."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from alerts.incidents import keep_back, release
from alerts.models import AlertRule, Incident, Notification
from alerts.outbox import enqueue
from alerts.services import acknowledge, end_silence, resolve, silence
from alerts.suppression import ancestors_of, reason_not_to_notify
from alerts.tasks import evaluate
from monitors.models import MaintenanceWindow, Monitor, MonitorStatus
from tests.alerts.outbox.sending import deliver, make_told_incident, make_webhook, pass_time
from tests.alerts.receiver import Receiver
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


def family() -> tuple[Monitor, Monitor, AlertRule]:
    """A parent, its child, and a rule with a channel for both."""
    tenant = make_tenant()
    parent, child = (make_monitor(tenant=tenant, name=name) for name in ("Router", "Shop"))
    child.depends_on.add(parent)
    rule = make_rule(tenant=tenant, threshold=2, channels=[make_channel(tenant=tenant)])
    return parent, child, rule


def incident_of(monitor: Monitor) -> Incident:
    return Incident.objects.unresolved().get(monitor=monitor)


def told(monitor: Monitor) -> list[tuple[str, str]]:
    rows = Notification.objects.filter(incident__monitor=monitor).order_by("seq")
    return list(rows.values_list("event", "state"))


def hours(count: float) -> datetime:
    return timezone.now() + timedelta(hours=count)


def test_a_child_of_a_down_parent_is_opened_and_told_to_nobody() -> None:
    parent, child, _ = family()
    for monitor in (child, parent):
        make_checks(monitor, False, False)
    evaluate()  # both at once: parents are opened first
    assert told(parent) == [("opened", "PENDING")]
    assert told(child) == [("opened", "SUPPRESSED")]
    incident = incident_of(child)
    assert incident.suppressed_by == incident_of(parent)
    assert incident.suppress_reason == "Router, which it depends on, is down."
    assert Notification.objects.get(incident=incident).suppress_reason == incident.suppress_reason
    kinds = list(incident.events.values_list("kind", flat=True))
    assert kinds == ["opened", "suppressed"]


def test_a_child_still_down_after_its_parent_recovered_is_told() -> None:
    parent, child, _ = family()
    for monitor in (child, parent):
        make_checks(monitor, False, False)
    evaluate()
    make_check(monitor=parent)
    evaluate()
    # The child's next check is not there yet: perhaps it recovers with its parent.
    assert told(child) == [("opened", "SUPPRESSED")]
    make_check(monitor=child, success=False)
    evaluate()
    assert told(child) == [("opened", "SUPPRESSED"), ("opened", "PENDING")]
    incident = incident_of(child)
    assert (incident.suppress_reason, incident.suppressed_by) == ("", None)
    evaluate()
    assert len(told(child)) == 2


def test_a_child_that_recovers_with_its_parent_is_never_told() -> None:
    parent, child, _ = family()
    for monitor in (child, parent):
        make_checks(monitor, False, False)
    evaluate()
    for monitor in (parent, child):
        make_check(monitor=monitor)
    evaluate()
    assert not Incident.objects.unresolved().exists()
    assert {state for _, state in told(child)} == {"SUPPRESSED"}


def test_a_grandchild_is_suppressed_through_a_monitor_without_rule() -> None:
    parent, child, _ = family()
    grandchild = make_monitor(tenant=parent.tenant)
    grandchild.depends_on.add(child)
    make_checks(parent, False, False)
    make_checks(grandchild, False, False)
    evaluate()
    assert incident_of(grandchild).suppressed_by == incident_of(parent)


@pytest.mark.parametrize("failures", [0, 1])
def test_a_parent_whose_last_check_failed_counts_before_it_is_confirmed(failures: int) -> None:
    from monitors.models import MonitorRun

    parent, child, _ = family()
    MonitorRun.objects.update_or_create(
        monitor=parent, defaults={"tenant": parent.tenant, "failures": failures}
    )
    make_checks(child, False, False)
    evaluate()
    assert incident_of(child).is_suppressed == bool(failures)


def test_a_parent_that_the_sweep_calls_down_counts() -> None:
    parent, child, _ = family()
    Monitor.objects.filter(pk=parent.pk).update(status=MonitorStatus.DOWN)
    make_checks(child, False, False)
    evaluate()
    assert incident_of(child).suppress_reason == "Router, which it depends on, is down."


def test_monitors_that_depend_on_each_other_in_a_circle_are_both_told() -> None:
    parent, child, _ = family()
    parent.depends_on.add(child)
    for monitor in (parent, child):
        make_checks(monitor, False, False)
    evaluate()
    assert told(parent) == told(child) == [("opened", "PENDING")]
    now = timezone.now()
    assert [reason_not_to_notify(incident_of(m), now) for m in (parent, child)] == ["", ""]


@given(
    st.dictionaries(st.integers(0, 8), st.lists(st.integers(0, 8), max_size=4), max_size=9),
    st.integers(0, 8),
)
def test_ancestors_are_whatever_can_be_reached_and_leads_not_back(
    edges: dict[int, list[int]], start: int
) -> None:
    def reach(key: int) -> set[int]:
        found: set[int] = set()
        while new := {p for c in {key, *found} for p in edges.get(c, [])} - found:
            found |= new
        return found

    expected = {key for key in reach(start) if start not in reach(key)}
    assert sorted(ancestors_of(edges, start)) == sorted(expected)


@pytest.mark.parametrize(
    ("named", "is_silenced"),
    [
        ({}, True),
        ({"monitor": "mine"}, True),
        ({"monitor": "other"}, False),
        ({"rule": "mine"}, True),
        ({"rule": "other"}, False),
        ({"tags": ["web", "db"]}, True),
        ({"tags": ["db"]}, False),
        ({"monitor": "mine", "tags": ["db"]}, False),
        ({"monitor": "mine", "rule": "mine", "tags": ["web"]}, True),
    ],
)
def test_a_silence_covers_what_it_names(named: dict[str, Any], is_silenced: bool) -> None:
    monitor = make_monitor(tags=["web"])
    tenant = monitor.tenant
    rule = make_rule(tenant=tenant)
    rows: dict[str, Any] = {
        "monitor": {"mine": monitor, "other": make_monitor(tenant=tenant)},
        "rule": {"mine": rule, "other": make_rule(tenant=tenant)},
    }
    chosen = {key: rows[key][value] if key in rows else value for key, value in named.items()}
    silence(tenant, reason="deploying", until=hours(1), **chosen)
    incident = make_incident(alert_rule=rule, monitor=monitor)
    reason = reason_not_to_notify(incident, timezone.now())
    assert bool(reason) == is_silenced
    assert not is_silenced or reason.endswith("UTC: deploying")


def test_a_silence_holds_between_its_instants_and_for_its_tenant() -> None:
    incident = make_incident()
    assert incident.tenant is not None
    silence(incident.tenant, reason="r", starts_at=hours(1), until=hours(2))
    silence(make_tenant(), reason="r", until=hours(9))
    assert [bool(reason_not_to_notify(incident, hours(h))) for h in (0, 0.9, 1.5, 2.1)] == [
        False,
        False,
        True,
        False,
    ]


def test_what_is_open_when_a_silence_ends_is_told_then() -> None:
    monitor, _, rule = family()
    made = silence(rule.tenant, reason="moving", until=hours(1), monitor=monitor)
    make_checks(monitor, False, False)
    evaluate()
    assert told(monitor) == [("opened", "SUPPRESSED")]
    assert end_silence(made)
    assert not end_silence(made)
    evaluate()
    assert told(monitor) == [("opened", "SUPPRESSED"), ("opened", "PENDING")]


def test_maintenance_keeps_back_until_it_is_over() -> None:
    monitor, _, rule = family()
    window = MaintenanceWindow.objects.create(
        tenant=rule.tenant,
        name="Sunday",
        is_for_all=True,
        starts_at=hours(-1),
        duration=timedelta(hours=2),
    )
    make_checks(monitor, False, False)
    evaluate()
    assert incident_of(monitor).suppress_reason == "In maintenance: Sunday."
    MaintenanceWindow.objects.filter(pk=window.pk).update(duration=timedelta(minutes=30))
    evaluate()
    assert told(monitor) == [("opened", "SUPPRESSED"), ("opened", "PENDING")]


def test_what_was_kept_back_is_not_reminded_of() -> None:
    monitor, _, rule = family()
    AlertRule.objects.filter(pk=rule.pk).update(params={"repeat_minutes": 1})
    silence(rule.tenant, reason="moving", until=hours(1))
    make_checks(monitor, False, False)
    evaluate()
    Incident.objects.update(announced_at=hours(-1))
    evaluate()
    assert told(monitor) == [("opened", "SUPPRESSED")]


def test_an_acknowledged_incident_is_not_told_again_when_its_silence_ends() -> None:
    monitor, _, rule = family()
    made = silence(rule.tenant, reason="moving", until=hours(1))
    make_checks(monitor, False, False)
    evaluate()
    acknowledge(incident_of(monitor), make_user())
    end_silence(made)
    evaluate()
    assert ("opened", "PENDING") not in told(monitor)


def test_a_silence_that_ends_while_a_message_is_on_its_way_loses_nothing() -> None:
    """The sender judged while it held; the evaluator looks before the sender has kept it back."""
    monitor, _, _ = family()
    make_checks(monitor, False, False)
    evaluate()
    rows = Notification.objects.filter(incident__monitor=monitor)
    rows.update(state="SENDING", started_at=timezone.now(), lease_until=hours(1))
    assert keep_back(incident_of(monitor), "Silenced.")
    evaluate()
    assert told(monitor) == [("opened", "SENDING")]
    rows.update(state="SUPPRESSED", suppress_reason="Silenced.", lease_until=None)
    evaluate()
    assert told(monitor) == [("opened", "SUPPRESSED"), ("opened", "PENDING")]


def test_what_is_kept_back_is_noted_though_somebody_changed_the_incident() -> None:
    monitor, _, _ = family()
    make_checks(monitor, False, False)
    evaluate()
    stale = incident_of(monitor)
    assert incident_of(monitor).update_guarded(note="changed meanwhile")
    assert keep_back(stale, "Silenced.")
    assert incident_of(monitor).suppress_reason == "Silenced."


def test_what_was_released_since_it_was_read_is_kept_back_again() -> None:
    monitor, _, _ = family()
    make_checks(monitor, False, False)
    evaluate()
    assert keep_back(incident_of(monitor), "Silenced.")
    stale = incident_of(monitor)
    assert release(incident_of(monitor))
    assert keep_back(stale, "Silenced again.")
    assert incident_of(monitor).suppress_reason == "Silenced again."


@pytest.mark.parametrize("is_grouped", [True, False])
def test_an_end_that_tells_the_silenced_beginning_too_is_kept_back(
    is_grouped: bool, receiver: Receiver
) -> None:
    incident = make_told_incident(make_webhook(receiver, is_grouped=is_grouped))
    enqueue(incident, "opened")
    resolve(incident, None)
    pass_time(minutes=3)  # so late that one message is to tell both
    silence(incident.alert_rule.tenant, reason="moving", until=hours(1))
    deliver()
    assert receiver.events == []
    states = Notification.objects.order_by("seq").values_list("event", "state")
    assert list(states) == [("opened", "SUPPRESSED"), ("resolved", "SUPPRESSED")]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"until": timedelta(hours=-1)}, "until"),
        ({"until": timedelta(hours=1), "starts_at": timedelta(hours=2)}, "until"),
        ({"until": timedelta(hours=1), "reason": " "}, "reason"),
    ],
)
def test_a_silence_without_sense_is_refused(fields: dict[str, Any], field: str) -> None:
    now = timezone.now()
    moments: dict[str, Any] = {"reason": "r"}
    for name, value in fields.items():
        moments[name] = now + value if isinstance(value, timedelta) else value
    with pytest.raises(ValidationError) as refused:
        silence(make_tenant(), **moments)
    assert field in refused.value.message_dict


def test_a_silence_of_another_tenants_monitor_is_refused() -> None:
    with pytest.raises(ValidationError, match="another tenant"):
        silence(make_tenant(), reason="r", until=hours(1), monitor=make_monitor())
