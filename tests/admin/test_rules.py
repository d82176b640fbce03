"""What operators see of rules, and how they set them."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from scans.aws import findings
from scans.aws.collectors.rows import VOLUME
from scans.models import Account, RuleSetting
from tests.admin.test_jobs import text_of
from tests.factories import make_account, make_recommendation, make_resource, make_scan_job

pytestmark = pytest.mark.django_db

LIST = "/admin/scans/rulesetting/"


@pytest.fixture
def account() -> Account:
    return make_account()


def form_of(of: Account, **fields: Any) -> dict[str, Any]:
    given = {
        "tenant": of.tenant_id,
        "rule": "ebs.unattached",
        "enabled": "on",
        "params": "{}",
        **fields,
    }
    return {name: value for name, value in given.items() if value is not None}


def test_operators_set_a_rule_for_one_account(operator: Client, account: Account) -> None:
    form = form_of(account, account=account.pk, params='{"min_age_days": 3}', enabled=None)
    answer = operator.post(f"{LIST}add/", form)
    assert answer.status_code == 302, text_of(answer)
    setting = RuleSetting.objects.get()
    assert (setting.account, setting.enabled) == (account, False)
    assert setting.params == {"min_age_days": 3}
    assert "min_age_days: 7" in text_of(operator.get(f"{LIST}{setting.pk}/change/"))
    assert "ebs.unattached" in text_of(operator.get(LIST))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"params": '{"min_age_hours": 3}'}, "has no parameter"),
        ({"params": '{"min_age_days": -3}'}, "from 0 up"),
        ({"params": "[3]"}, "name by name"),
        ({"rule": "no.such"}, "Select a valid choice"),
    ],
)
def test_what_no_rule_reads_is_refused(
    operator: Client, account: Account, fields: dict[str, str], said: str
) -> None:
    answer = operator.post(f"{LIST}add/", form_of(account, **fields))
    assert said in text_of(answer)
    assert not RuleSetting.objects.exists()


def test_an_account_of_another_tenant_is_refused(operator: Client, account: Account) -> None:
    other = make_account()
    answer = operator.post(f"{LIST}add/", form_of(account, account=other.pk))
    assert "belongs to another tenant" in text_of(answer)


def test_the_pages_say_why_there_is_nothing(operator: Client, account: Account) -> None:
    make_resource(account=account, state="in-use")
    job = make_scan_job(account=account, state="COMPLETED", finished_at=timezone.now())
    job.summary = {"rules": findings.judge(account, job, {(VOLUME, "eu-west-1")})["rules"]}
    job.save()
    for page in (
        f"/admin/scans/scanjob/{job.pk}/change/",
        f"/admin/scans/account/{account.pk}/change/",
    ):
        text = text_of(operator.get(page))
        assert "Looked at 1, found 1." in text
        assert "CloudWatch has no datapoints of volume operations." in text
        assert "Off unless a setting turns it on." in text


def test_the_page_of_a_finding_says_what_to_do_and_what_may_go_wrong(operator: Client) -> None:
    found = make_recommendation(
        action="Delete it.", risk="It may be the last copy.", is_upper_bound=True, saving_low_usd=0
    )
    text = text_of(operator.get(f"/admin/scans/recommendation/{found.pk}/change/"))
    assert "up to $10.00 a month could be saved" in text
    assert "Delete it." in text
    assert "What may go wrong: It may be the last copy." in text
