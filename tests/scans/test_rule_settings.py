"""Rules as a tenant or one account wants them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from scans.aws import findings
from scans.aws.collectors.rows import VOLUME
from scans.aws.rule_settings import choices_for, set_rule
from scans.aws.rules.all import Choice
from scans.models import Account, Recommendation, RuleSetting
from tests.factories import make_account, make_resource, make_scan_job, make_tenant

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

RULE = "ebs.unattached"
REGION = "eu-west-1"


@pytest.fixture
def account() -> Account:
    return make_account()


def choice_of(account: Account, rule: str = RULE) -> Choice:
    (found,) = [choice for choice in choices_for(account) if choice.rule.id == rule]
    return found


def judge(account: Account) -> dict[str, Any]:
    job = make_scan_job(account=account, state="COMPLETED")
    result: dict[str, Any] = findings.judge(account, job, {(VOLUME, REGION)})
    return result


def test_without_settings_every_rule_is_as_it_says(account: Account) -> None:
    choice = choice_of(account)
    assert (choice.params, choice.is_on, choice.problem) == ({"min_age_days": 7}, True, "")
    assert not choice_of(account, "ec2.graviton").is_on


def test_the_tenants_setting_holds_for_its_accounts_alone(account: Account) -> None:
    set_rule(account.tenant, rule=RULE, params={"min_age_days": 3})
    assert choice_of(account).params == {"min_age_days": 3}
    assert choice_of(make_account()).params == {"min_age_days": 7}


def test_an_accounts_own_setting_comes_first_parameter_by_parameter(account: Account) -> None:
    other = make_account(tenant=account.tenant)
    rule = "ec2.idle"
    set_rule(
        account.tenant, rule=rule, enabled=False, params={"max_cpu_percent": 2, "min_days": 20}
    )
    set_rule(account.tenant, rule=rule, account=account, params={"max_cpu_percent": 9})
    own = choice_of(account, rule)
    assert own.is_on
    assert (own.params["max_cpu_percent"], own.params["min_days"]) == (9, 20)
    assert own.params["min_coverage"] == 0.8
    assert not choice_of(other, rule).is_on


def test_setting_a_rule_again_replaces_what_was_set(account: Account) -> None:
    for target in (None, account):
        first = set_rule(account.tenant, rule=RULE, account=target, params={"min_age_days": 1})
        again = set_rule(account.tenant, rule=RULE, account=target, enabled=False)
        assert (again.pk, again.params, again.enabled) == (first.pk, {}, False)
    assert RuleSetting.objects.count() == 2


@pytest.mark.parametrize(
    ("rule", "params", "named"),
    [
        ("ebs.unatached", {}, "ebs.unatached"),
        (RULE, {"min_age_hours": 3}, "it has min_age_days"),
        (RULE, {"min_age_days": "3"}, "is a number"),
        (RULE, {"min_age_days": True}, "is a number"),
        (RULE, {"min_age_days": None}, "is a number"),
        (RULE, {"min_age_days": -1}, "from 0 up"),
        (RULE, {"min_age_days": float("nan")}, "from 0 up"),
        (RULE, {"min_age_days": float("inf")}, "from 0 up"),
        (RULE, ["min_age_days"], "name by name"),
        ("ec2.idle", {"min_coverage": 1.01}, "a share"),
        ("commit.sp_gap", {"discount": 1}, "a share"),
    ],
)
def test_what_no_rule_reads_is_refused(
    account: Account, rule: str, params: Any, named: str
) -> None:
    with pytest.raises(ValidationError, match=named):
        set_rule(account.tenant, rule=rule, params=params)
    assert not RuleSetting.objects.exists()


def test_another_tenants_account_is_refused(account: Account) -> None:
    with pytest.raises(ValidationError, match="another tenant"):
        set_rule(make_tenant(), rule=RULE, account=account)


def test_the_database_keeps_one_setting_each(account: Account) -> None:
    for fields in ({"account": account}, {"tenant": account.tenant}):
        RuleSetting.objects.create(rule=RULE, **fields)
        with pytest.raises(IntegrityError), transaction.atomic():
            RuleSetting.objects.create(rule=RULE, **fields)
    assert RuleSetting.objects.filter(tenant=account.tenant).count() == 2


def test_a_threshold_decides_what_the_next_scan_finds(account: Account) -> None:
    since = timezone.now() - timedelta(days=4)
    make_resource(account=account, state_since=since, first_seen_at=since - timedelta(days=9))
    judge(account)
    assert set(Recommendation.objects.values_list("rule", flat=True)) == {"ebs.gp2_gp3"}
    set_rule(account.tenant, rule=RULE, params={"min_age_days": 3})
    judge(account)
    statuses = dict(Recommendation.objects.values_list("rule", "status"))
    assert statuses == {"ebs.gp2_gp3": "resolved", RULE: "open"}


def test_a_rule_switched_off_is_resolved_and_says_so(account: Account) -> None:
    make_resource(account=account, state="in-use")
    judge(account)
    set_rule(account.tenant, rule="ebs.gp2_gp3", account=account, enabled=False)
    result = judge(account)
    assert Recommendation.objects.get().status == "resolved"
    told = result["rules"]["ebs.gp2_gp3"]
    assert (told["enabled"], told["looked_at"]) == (False, 0)
    assert "Switched off" in told["not_looked"][0]["reason"]


def test_a_setting_written_past_the_checks_stops_its_rule_alone(account: Account) -> None:
    make_resource(account=account, state="in-use")
    judge(account)
    RuleSetting.objects.create(account=account, rule="ebs.gp2_gp3", params={"typo": 1})
    RuleSetting.objects.create(account=account, rule="of.yesterday", params={"gone": 1})
    result = judge(account)
    assert Recommendation.objects.get().status == "open", "nothing says that it is over"
    assert "typo" in result["rules"]["ebs.gp2_gp3"]["not_looked"][0]["reason"]
    assert result["rules"][RULE]["looked_at"] == 1
