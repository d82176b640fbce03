"""What `quickstart` puts into the database to be watched, and the hint on the admin's index."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from alerts.models import AlertRule
from hostmaster.site.first_steps import first_watch
from monitors.models import Monitor
from tests.admin.test_jobs import text_of
from tests.factories import make_channel, make_monitor, make_rule, make_staff, make_tenant

pytestmark = pytest.mark.django_db

HERE, THERE = "http://127.0.0.1:8000", "http://127.0.0.1:8001"


@pytest.mark.both_databases
def test_second_run_adds_nothing_and_follows_the_port() -> None:
    tenant = make_tenant()

    first = first_watch(tenant, HERE)
    again = first_watch(tenant, THERE)

    assert [monitor.url for monitor in first.monitors] == [f"{HERE}/health", "tcp://127.0.0.1:9"]
    assert [monitor.url for monitor in again.monitors] == [f"{THERE}/health", "tcp://127.0.0.1:9"]
    assert Monitor.objects.count() == 2
    (rule,) = AlertRule.objects.filter(tenant=tenant, kind="down")
    assert rule.monitor is None
    assert not again.has_channel


def test_tenant_that_watches_something_is_left_as_it_is() -> None:
    monitor = make_monitor()

    assert first_watch(monitor.tenant, HERE).monitors == []
    assert Monitor.objects.get() == monitor


def test_own_down_rule_is_enough() -> None:
    tenant = make_tenant()
    make_rule(tenant=tenant, kind="down", threshold=1)
    make_channel(tenant=tenant)

    watch = first_watch(tenant, HERE)

    assert watch.has_channel
    assert AlertRule.objects.filter(tenant=tenant, kind="down").count() == 1


def test_index_hints_at_rules_that_tell_nobody(client: Client) -> None:
    client.force_login(make_staff())
    AlertRule.objects.all().delete()
    rule = make_rule(tenant=make_tenant(name="Acme"))
    AlertRule.objects.exclude(pk=rule.pk).delete()

    page = client.get("/admin/")

    assert "1 alert rule of Acme tells nobody. Add a channel" in text_of(page)
    listed = f"/admin/alerts/alertrule/?tenant__id__exact={rule.tenant.pk}&channels__isnull=True"
    assert listed.replace("&", "&amp;") in page.content.decode()
    assert rule.name in text_of(client.get(listed))
    rule.channels.set([make_channel(tenant=rule.tenant)])
    assert "tells nobody" not in text_of(client.get("/admin/"))


def test_hint_is_for_those_who_may_see_rules(client: Client) -> None:
    staff = make_staff(is_superuser=False)
    staff.user_permissions.add(Permission.objects.get(codename="view_scanjob"))
    client.force_login(staff)
    make_rule(tenant=make_tenant(name="Acme"))

    assert "Acme" not in text_of(client.get("/admin/"))
