from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from scans.aws import findings
from scans.aws.accounts import open_keys
from scans.aws.simulator import SIMULATED_KEYS, Simulator
from scans.models import Account, AccountStatus, Instance, MetricSummary, ScanJob
from scans.totals import totals_of
from tests.admin.test_jobs import messages_of, text_of
from tests.factories import (
    make_account,
    make_instance,
    make_recommendation,
    make_resource,
    make_scan_job,
    make_tenant,
)

pytestmark = pytest.mark.django_db

LIST = "/admin/scans/account/"
KEY_ID, SECRET, TOKEN = "AKIACANARYCANARY0001", "canary-secret-" + "x" * 26, "canary-token-abcdef"
KEYS = {"access_key_id": KEY_ID, "secret_access_key": SECRET, "session_token": TOKEN}


def page_of(account: Account, verb: str = "change") -> str:
    return f"{LIST}{account.pk}/{verb}/"


def test_account_by_keys_is_sealed_and_shown_nowhere(operator: Client) -> None:
    tenant = make_tenant()
    form = {"tenant": str(tenant.pk), "name": "Production", "regions": "eu-west-1, us-east-1"}

    answer = operator.post(f"{LIST}add/", {**form, **KEYS})

    account = Account.objects.get()
    assert answer.headers["Location"] == page_of(account)
    assert (account.tenant, account.regions) == (tenant, ["eu-west-1", "us-east-1"])
    assert open_keys(account).secret_access_key == SECRET
    assert account.credentials_sealed
    for path in (LIST, page_of(account), page_of(account, "edit"), page_of(account, "forget")):
        page = operator.get(path).content.decode()
        for secret in (*KEYS.values(), account.credentials_sealed):
            assert secret not in page, path


def test_refused_form_names_the_field_and_forgets_the_secrets(operator: Client) -> None:
    form = {"tenant": str(make_tenant().pk), "name": "Production", "role_arn": "nonsense"}

    page = operator.post(f"{LIST}add/", form)
    assert "A role's ARN looks like" in page.content.decode().replace("&#x27;", "'")

    page = operator.post(f"{LIST}add/", {**form, **KEYS})
    assert "not both" in text_of(page)
    assert not Account.objects.exists()
    assert not [secret for secret in KEYS.values() if secret in page.content.decode()]
    assert "no-store" in page.headers["Cache-Control"]


def test_account_by_role_shows_the_external_id_to_trust(operator: Client) -> None:
    role = "arn:aws:iam::123456789012:role/hostmaster"
    form = {"tenant": str(make_tenant().pk), "name": "Production", "role_arn": role}

    operator.post(f"{LIST}add/", form)

    account = Account.objects.get()
    page = text_of(operator.get(page_of(account)))
    assert account.external_id in page
    assert f"the role {role}" in page
    assert "then press Connect" in page


def test_edit_without_keys_keeps_them(operator: Client) -> None:
    form = {"tenant": str(make_tenant().pk), "name": "Production"}
    operator.post(f"{LIST}add/", {**form, **KEYS})
    account = Account.objects.get()

    operator.post(page_of(account, "edit"), {"name": "Renamed", "regions": "eu-west-1"})

    account.refresh_from_db()
    assert (account.name, account.regions) == ("Renamed", ["eu-west-1"])
    assert open_keys(account).access_key_id == KEY_ID


def test_edit_replaces_refused_credentials(operator: Client) -> None:
    account = make_account(status=AccountStatus.FAILED, status_reason="AWS refuses the key.")
    page = text_of(operator.get(page_of(account)))
    assert "AWS refuses the key." in page
    assert "Edit the credentials here" in page

    operator.post(page_of(account, "edit"), {"name": account.name, **KEYS})

    account.refresh_from_db()
    assert open_keys(account).session_token == TOKEN


def test_delete_asks_first_and_waits_for_open_scans(operator: Client) -> None:
    account = make_account(name="Production")
    job = make_scan_job(account=account)

    assert "Production" in text_of(operator.get(page_of(account, "forget")))
    assert Account.objects.exists()
    answer = operator.post(page_of(account, "forget"), {"confirmed": "yes"})
    assert "A scan of this account is open" in messages_of(answer)[0]

    assert job.cancel()
    operator.post(page_of(account, "forget"), {"confirmed": "yes"})
    assert not Account.objects.exists()


def test_scan_now_asks_for_one_scan_and_links_to_it(operator: Client) -> None:
    account = make_account(status=AccountStatus.ACTIVE, role_arn="arn:aws:iam::1:role/x")

    answer = operator.post(page_of(account, "scan"), follow=True)
    operator.post(page_of(account, "rediscover"))

    jobs = {job.kind: job for job in ScanJob.objects.all()}
    assert set(jobs) == {"aws", "discovery"}
    assert jobs["aws"].requested_by == "user anna"
    assert f"/admin/scans/scanjob/{jobs['aws'].pk}/change/" in answer.content.decode()


def test_account_that_is_not_connected_is_not_scanned(operator: Client) -> None:
    account = make_account(role_arn="arn:aws:iam::1:role/x")

    answer = operator.post(page_of(account, "scan"))

    assert "connect first" in messages_of(answer)[0]
    assert not ScanJob.objects.exists()


def test_connect_says_when_aws_cannot_be_asked(operator: Client, settings: Settings) -> None:
    settings.AWS_ENDPOINT_URL = "http://127.0.0.1:9"  # nobody listens there
    form = {"tenant": str(make_tenant().pk), "name": "Production"}
    operator.post(f"{LIST}add/", {**form, **KEYS})
    account = Account.objects.get()

    answer = operator.post(page_of(account, "connect"))

    account.refresh_from_db()
    assert "AWS could not be asked, try again" in messages_of(answer)[-1]
    assert account.status == AccountStatus.PENDING


@pytest.mark.services
def test_connect_proves_access_and_asks_for_a_discovery(
    operator: Client,
    aws_simulator: Simulator,
) -> None:
    keys = {
        "access_key_id": SIMULATED_KEYS.access_key_id,
        "secret_access_key": SIMULATED_KEYS.secret_access_key,
    }
    operator.post(f"{LIST}add/", {"tenant": str(make_tenant().pk), "name": "Production", **keys})
    account = Account.objects.get()

    answer = operator.post(page_of(account, "connect"))

    account.refresh_from_db()
    assert account.status == AccountStatus.CONNECTED
    assert ScanJob.objects.get().kind == "discovery"
    assert messages_of(answer)[-1] == ("AWS lets us into Production; a discovery is on its way.")


def test_simulated_accounts_are_marked_wherever_they_are_named(operator: Client) -> None:
    account = make_account(is_simulated=True)
    item = make_instance(account=account)
    found = make_recommendation(account=account)
    job = make_scan_job(account=account)

    for path in (
        LIST,
        page_of(account),
        "/admin/scans/instance/",
        f"/admin/scans/instance/{item.pk}/change/",
        "/admin/scans/recommendation/",
        f"/admin/scans/recommendation/{found.pk}/change/",
        "/admin/scans/scanjob/",
        f"/admin/scans/scanjob/{job.pk}/change/",
    ):
        assert "≈ Simulated" in text_of(operator.get(path)), path


def test_totals_count_each_exclusive_group_once() -> None:
    account = make_account()
    make_instance(account=account, monthly_cost_usd=30)
    make_resource(account=account, monthly_cost_usd=10)
    make_recommendation(account=account, exclusive_group="vol-1")
    make_recommendation(account=account, exclusive_group="vol-1", saving_high_usd=12)

    totals = totals_of([account])[account.pk]

    assert (totals.instances, totals.resources, totals.findings) == (1, 1, 2)
    assert totals.monthly_usd == 40
    saving = (totals.saving_low_usd, totals.saving_high_usd)
    assert saving == (Decimal(5), Decimal(12))
    assert saving == account.recommendations.open().monthly_saving()


def make_cpu(instance: Instance, average: float, **overrides: Any) -> MetricSummary:
    fields = {"window_days": 14, "datapoints": 336, "expected": 336, "p95": 2 * average}
    return MetricSummary.objects.create(
        account=instance.account,
        region=instance.region,
        kind="ec2_instance",
        resource_id=instance.resource_id,
        metric="cpu_percent",
        average=average,
        **{**fields, **overrides},
    )


def test_usage_is_of_instances_that_are_there_and_were_measured_lately(operator: Client) -> None:
    account = make_account()
    here = make_instance(account=account)
    make_cpu(here, 30)
    make_cpu(make_instance(account=account), 10)
    make_cpu(make_instance(account=account, gone_at=timezone.now()), 90)
    long_ago = timezone.now() - timedelta(days=4)  # its region is denied since
    make_cpu(make_instance(account=account), 90, computed_at=long_ago)
    assert totals_of([account])[account.pk].cpu_percent == 20
    page = text_of(operator.get(page_of(account)))
    figure = page.partition("CPU of its instances on average")[2]
    assert figure.split()[:2] == ["20", "%"]
    page = text_of(operator.get(f"/admin/scans/instance/{here.pk}/change/"))
    assert "30 on average, 95 % below 60, 336 of 336 values in 14 days" in page


def test_usage_nobody_knows_is_not_none(operator: Client) -> None:
    account = make_account()
    make_instance(account=account)
    assert totals_of([account])[account.pk].cpu_percent is None
    page = text_of(operator.get(page_of(account)))
    figure = page.partition("CPU of its instances on average")[2]
    assert figure.split()[0] == "unknown"


def test_totals_are_cached_until_the_generation_changes(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    account = make_account()
    found = make_recommendation(account=account, saving_high_usd=Decimal(10))
    assert totals_of([account])[account.pk].saving_high_usd == 10

    with django_assert_num_queries(0):
        totals_of([account])
    assert findings.dismiss(found, by="user anna")
    account.refresh_from_db()
    assert totals_of([account])[account.pk].saving_high_usd == 0
