"""Rules that nobody could judge are refused in words; every tenant has some from the start."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from alerts.evaluators.all import EVALUATORS
from alerts.kinds import SPECS, problems, settings_of
from alerts.models import AlertRule, Incident
from alerts.rules import RuleChangedError
from alerts.services import add_rule, edit_rule
from alerts.tasks import evaluate
from hostmaster.core.health.models import ComponentState, Status
from hostmaster.core.health.services import record
from hostmaster.core.tenants.services import create_tenant
from tests.factories import make_account, make_channel, make_monitor, make_rule, make_tenant


@pytest.mark.parametrize(
    ("kind", "threshold", "params", "field", "words"),
    [
        ("nonsense", None, {}, "kind", "There is no kind 'nonsense'; there is component_health"),
        ("failure_rate", None, {}, "kind", "cannot be judged yet"),
        ("down", 0, {}, "threshold", "must be 1 to 50 failed checks in a row, not 0"),
        ("down", 51, {}, "threshold", "must be 1 to 50"),
        ("down", 2.5, {}, "threshold", "must be a whole number of failed checks in a row, not 2.5"),
        ("down", float("nan"), {}, "threshold", "must be a number"),
        ("ssl_expiry", 1000, {}, "threshold", "must be 0 to 825 days, not 1000"),
        ("down", 3, {"checks": 3}, "params", "knows no parameter 'checks'; it knows repeat_min"),
        ("slow_response", 9, {"checks": 0}, "params", "'checks' must be 1 to 50 checks in a row"),
        ("slow_response", 9, {"checks": True}, "params", "must be a number of checks in a row"),
        ("slow_response", 9, {"clear_ratio": 1.1}, "params", "must be 0.1 to 1"),
        ("down", 3, {"repeat_minutes": -1}, "params", "must be 0 to 10080 minutes, not -1"),
        ("down", 3, [], "params", "must be a JSON object"),
        ("component_health", None, {"level": "bad"}, "params", "one of 'degraded', 'critical'"),
        ("ssl_expiry", None, {"invalid": 1}, "params", "must be one of True, False, not 1"),
    ],
)
def test_what_cannot_be_judged_is_named(
    kind: str, threshold: float | None, params: Any, field: str, words: str
) -> None:
    found = problems(kind, threshold, params)
    assert list(found) == [field]
    assert words in found[field][0]


@pytest.mark.parametrize("kind", sorted(SPECS))
def test_each_kind_can_be_judged_with_its_own_settings(kind: str) -> None:
    spec = SPECS[kind]
    settings = settings_of(kind, None, {})
    assert settings.threshold == spec.threshold.default
    assert problems(kind, settings.threshold, dict(settings.params)) == {}
    assert kind in EVALUATORS


@pytest.mark.parametrize(
    ("kind", "default"), [("down", 3), ("slow_response", 2000), ("ssl_expiry", 14)]
)
def test_the_customers_kinds_have_their_defaults(kind: str, default: float) -> None:
    assert settings_of(kind, None, {}).threshold == default


@pytest.mark.django_db
@pytest.mark.both_databases
def test_a_rule_is_added_with_its_channels() -> None:
    monitor = make_monitor()
    channel = make_channel(tenant=monitor.tenant)
    rule = add_rule(
        monitor.tenant, name=" Down ", kind="down", threshold=5, monitor=monitor, channels=[channel]
    )
    rule.refresh_from_db()
    assert (rule.name, rule.threshold, rule.monitor, rule.enabled) == ("Down", 5, monitor, True)
    assert list(rule.channels.all()) == [channel]


@pytest.mark.django_db
@pytest.mark.parametrize("field", ["monitor", "account", "channels"])
def test_a_rule_names_nothing_of_another_tenant(field: str) -> None:
    strange: dict[str, Any] = {
        "monitor": make_monitor(),
        "account": make_account(),
        "channels": [make_channel()],
    }
    kind = "cost_budget" if field == "account" else "down"
    with pytest.raises(ValidationError) as refused:
        add_rule(make_tenant(), name="r", kind=kind, **{field: strange[field]})
    assert field in refused.value.message_dict
    assert not AlertRule.objects.filter(name="r").exists()


@pytest.mark.django_db
def test_a_rule_that_is_about_no_monitor_takes_none() -> None:
    monitor = make_monitor()
    with pytest.raises(ValidationError, match="about no monitor"):
        add_rule(monitor.tenant, name="r", kind="dead_letter", monitor=monitor)


@pytest.mark.django_db
def test_editing_keeps_what_can_be_judged() -> None:
    rule = make_rule(threshold=3)
    edit_rule(rule, threshold=4, params={"repeat_minutes": 5})
    rule.refresh_from_db()
    assert (rule.threshold, rule.params, rule.version) == (4, {"repeat_minutes": 5}, 2)
    with pytest.raises(ValidationError):
        edit_rule(rule, threshold=0)
    with pytest.raises(ValidationError, match="cannot be changed"):
        edit_rule(rule, kind="ssl_expiry")
    rule.refresh_from_db()
    assert rule.threshold == 4


@pytest.mark.django_db
def test_of_two_who_edit_the_second_is_told() -> None:
    rule = make_rule()
    stale = AlertRule.objects.get(pk=rule.pk)
    edit_rule(rule, threshold=4)
    with pytest.raises(RuleChangedError):
        edit_rule(stale, threshold=5)


@pytest.mark.django_db
def test_a_new_tenant_watches_the_product_itself() -> None:
    tenant = create_tenant("Newcomer")
    rules = AlertRule.objects.filter(tenant=tenant)
    assert sorted(rules.values_list("kind", flat=True)) == [
        "component_health",
        "dead_letter",
        "worker_crash",
    ]
    assert not any(rule.problems() for rule in rules)
    tenant.name = "Renamed"
    tenant.save()
    assert rules.count() == rules.without_channels().count() == 3


@pytest.mark.django_db
@pytest.mark.both_databases
def test_a_fault_of_the_installation_is_an_incident_of_its_operators_alone() -> None:
    operators, customer = create_tenant("Operators"), create_tenant("Customer")
    record("qcluster", "critical", "Lane scans ended.", fact="worker_crash", lane="scans")
    ComponentState.objects.create(
        component="queue", status=Status.CRITICAL, checked_at=timezone.now()
    )
    evaluate()
    told = Incident.objects.values_list("tenant", "alert_rule__kind").order_by("alert_rule__kind")
    assert list(told) == [(operators.pk, "component_health"), (operators.pk, "worker_crash")]
    off = AlertRule.objects.filter(tenant=customer, enabled=False).values_list("kind", flat=True)
    assert sorted(off) == ["component_health", "worker_crash"]

    edit_rule(AlertRule.objects.get(tenant=customer, kind="worker_crash"), enabled=True)
    evaluate()
    assert Incident.objects.get(tenant=customer).alert_rule.kind == "worker_crash"
