"""Real workers that are killed while they deliver: what the receiver got, counted by itself."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from django.utils import timezone

from alerts.channels import add_channel
from alerts.models import AlertChannel, DeliveryAttempt, Incident, Notification
from alerts.outbox import enqueue, enqueue_all
from hostmaster.core.jobs.models import Lease
from tests.alerts.receiver import Answer, Receiver
from tests.concurrency.processes import family, kill, stop, wait_for
from tests.factories import make_incident, make_rule, make_tenant
from tests.projects import Project

pytestmark = [pytest.mark.services, pytest.mark.serial, pytest.mark.timeout(900)]
State = Notification.State
ENVIRONMENT = {"HOSTMASTER_ALLOWED_NETWORKS": "127.0.0.1/32"}
NOBODYS = "url_verdict"  # a kind of rule that no evaluation of these lanes resolves
KILLS = 20


@pytest.mark.parametrize("project_env", ["postgresql"], indirect=True)
def test_5000_deliveries_survive_20_kills_of_the_worker_that_sends(
    project_env: Project, loopback_allowed: None
) -> None:
    with Receiver() as receiver:
        channels = make_channels(receiver, 5)
        owe(channels, 1000)
        cluster = project_env.start("qcluster", "--lane", "alerts", **ENVIRONMENT)
        for _ in range(KILLS):
            reached = receiver.count() + 180
            wait_for(lambda: receiver.count() >= reached, 120, "deliveries go on")  # noqa: B023 asked at once
            wait_for(kill_sender, 60, "somebody sends, and is killed")
        wait_for(lambda: not unfinished(), 400, "all delivered")
        stop(cluster)
    expected = {f"msg_{pk}" for pk in Notification.objects.values_list("pk", flat=True)}
    assert receiver.ids() == expected
    assert set(Notification.objects.values_list("state", flat=True)) == {State.SENT}
    assert len(expected) == 5000
    # A repeat is known by its id: the same body under another would have made a 5,001st. What
    # a killed worker had on its way may come twice, nothing else; how often it does depends on
    # the machine and is measured by benchmarks/notifications.py.
    assert receiver.doubles() <= DeliveryAttempt.objects.filter(error_class="lost").count()


def test_a_message_goes_out_as_soon_as_its_incident_is_stored(
    project_env: Project, loopback_allowed: None
) -> None:
    with Receiver() as receiver:
        (channel,) = make_channels(receiver, 1)
        rule = make_rule(tenant=channel.tenant, channels=[channel], kind=NOBODYS)
        cluster = project_env.start(
            "qcluster", "--lane", "alerts", **ENVIRONMENT, TICK_SECONDS="1", LEASE_SECONDS="45"
        )
        enqueue(make_incident(alert_rule=rule), "opened")
        wait_for(lambda: receiver.count() == 1, 60, "the lane works")
        waits = []
        for number in range(2, 22):
            incident = make_incident(alert_rule=rule)
            committed = time.time()
            enqueue(incident, "opened")
            wait_for(lambda: receiver.count() == number, 60, "delivered")  # noqa: B023 asked at once
            waits.append(receiver.received[-1].at - committed)
            time.sleep(0.2)
        stop(cluster)
    assert sorted(waits)[18] <= 2.0, sorted(waits)


def test_a_lane_killed_as_a_whole_leaves_the_next_one_nothing_to_wait_for(
    project_env: Project, loopback_allowed: None
) -> None:
    """Neither its turn nor what it was sending."""
    lane = ("qcluster", "--lane", "alerts")
    environment = {**ENVIRONMENT, "LEASE_SECONDS": "300"}
    with Receiver(Answer(seconds=25)) as receiver:
        owe(make_channels(receiver, 1), 1)
        cluster = project_env.start(*lane, **environment)
        wait_for(lambda: receiver.count() == 1, 60, "the message is on its way")
        for process in family(cluster):
            kill(process.pid)
        cluster.wait()
        row = Notification.objects.get()
        held = [row.lease_until, Lease.objects.get(name="drain:notifications:0").until]
        assert row.state == State.SENDING
        receiver.answer = Answer()
        second = project_env.start(*lane, **environment)
        wait_for(lambda: not unfinished(), 60, "delivered")
        row.refresh_from_db()
        # By the database's own clock: before either lease was over.
        assert row.finished_at is not None
        assert all(until is not None and row.finished_at < until for until in held)
        stop(second)
    assert (row.state, row.attempts) == (State.SENT, 2)
    assert receiver.ids() == {row.message_id}
    assert list(row.deliveries.values_list("error_class", flat=True)) == ["lost", ""]


def make_channels(receiver: Receiver, count: int) -> list[AlertChannel]:
    tenant = make_tenant()
    return [
        add_channel(
            tenant,
            name=f"hook {number}",
            type="webhook",
            config={"url": receiver.url()},
            is_grouped=False,
        )
        for number in range(count)
    ]


def owe(channels: list[AlertChannel], incidents: int) -> None:
    rule = make_rule(tenant=channels[0].tenant, channels=channels, kind=NOBODYS)
    rows = Incident.objects.bulk_create(
        Incident(
            alert_rule=rule,
            tenant=rule.tenant,
            subject=f"s{number}",
            announced_at=timezone.now(),
        )
        for number in range(incidents)
    )
    enqueue_all(rows, "opened")


def kill_sender() -> bool:
    """The process that has messages on their way; `False` when there is none just now."""
    owners = Notification.objects.filter(state=State.SENDING).values_list("lease_owner", flat=True)
    pids = Counter(int(owner.split("/")[-2]) for owner in owners)
    for pid in pids:
        kill(pid)
        return True
    return False


def unfinished() -> bool:
    return Notification.objects.open().exists()
