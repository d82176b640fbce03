"""A whole account, of the size customers have: what is stored equals what was put there, a denied
region is told apart in the admin, the API and the command, and rows by plain ORM are run."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from pytest_django.fixtures import Settings

from scans.aws import clients
from scans.aws.simulator import SIMULATED_KEYS, Simulator
from scans.models import Account, Instance, Recommendation, Resource, ScanJob
from scans.services import add_account
from tests.aws_simulator.fault_proxy import FaultProxy
from tests.aws_simulator.seed import FOUR_REGIONS, seed, terminate
from tests.factories import bearer, make_tenant, make_token
from tests.projects import Project

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

INSTANCES, UNATTACHED, ADDRESSES = 2000, 300, 40
TIMES = {"last_seen_at", "last_job_id", "updated_at", "evidence"}
DENIED, SHRUNK = "eu-central-1", "us-east-1"


@pytest.fixture(autouse=True)
def _quick(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.AWS_ATTEMPTS = 2
    settings.AWS_READ_TIMEOUT_SECONDS = 120  # the simulator answers 500 instances slowly
    monkeypatch.setattr(clients, "RETRY_MODE", "standard")


def add_simulated_account() -> Account:
    return add_account(
        make_tenant(),
        name="large",
        access_key_id=SIMULATED_KEYS.access_key_id,
        secret_access_key=SIMULATED_KEYS.secret_access_key,
        regions=FOUR_REGIONS,
        is_simulated=True,
    )


def scan_by_command(account: Account, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    call_command("run_scan", "--account", account.name, "--json")
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def facts() -> list[dict[str, Any]]:
    """Everything stored, but when."""
    rows: list[dict[str, Any]] = []
    for model in (Instance, Resource, Recommendation):
        rows += model.objects.order_by("pk").values()
    return [{name: v for name, v in row.items() if name not in TIMES} for row in rows]


@pytest.mark.django_db(transaction=True)
def test_a_large_account_is_stored_as_it_is_and_a_denied_region_left_alone(
    aws_simulator: Simulator, fault_proxy: FaultProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    seeded = seed(
        aws_simulator.endpoint_url,
        instances=INSTANCES,
        unattached_volumes=UNATTACHED,
        addresses=ADDRESSES,
    )
    account = add_simulated_account()
    scan_by_command(account, capsys)
    by_region = Counter(Instance.objects.present().values_list("region", flat=True))
    assert by_region == {region: len(seeded[region].instance_ids) for region in FOUR_REGIONS}
    kinds = Counter(Resource.objects.present().values_list("kind", flat=True))
    assert kinds == {"ebs_volume": INSTANCES + UNATTACHED, "elastic_ip": ADDRESSES}
    before = facts()
    scan_by_command(account, capsys)
    assert facts() == before, "a second scan changes only times"

    victims = seeded[SHRUNK].instance_ids[:10]
    terminate(aws_simulator.endpoint_url, SHRUNK, victims)
    terminate(aws_simulator.endpoint_url, DENIED, seeded[DENIED].instance_ids[:10])
    untouched = list(Instance.objects.filter(region=DENIED).order_by("pk").values())
    fault_proxy.deny("DescribeInstances", region=DENIED)
    told = scan_by_command(account, capsys)
    gone = Instance.objects.filter(gone_at__isnull=False)
    assert set(gone.values_list("resource_id", flat=True)) == set(victims)
    assert list(Instance.objects.filter(region=DENIED).order_by("pk").values()) == untouched
    job = ScanJob.objects.latest("created_at")
    assert job.state == "COMPLETED"
    assert_the_denied_unit_is_told(job, told)


def assert_the_denied_unit_is_told(job: ScanJob, by_command: dict[str, Any]) -> None:
    needed = "ec2:DescribeInstances"
    assert [needed, DENIED] == [
        text for text in (needed, DENIED) if text in json.dumps(by_command)
    ], "by the command"
    token = make_token(tenant=job.tenant)
    by_api = Client().get(f"/api/v1/scans/{job.pk}", headers=bearer(token)).json()
    denied = [unit for unit in by_api["coverage"] if unit["outcome"] == "denied"]
    assert [(unit["region"], unit["missing_action"]) for unit in denied] == [(DENIED, needed)]
    operator = Client()
    operator.force_login(User.objects.create_superuser("operator"), BACKEND)
    page = operator.get(f"/admin/scans/scanjob/{job.pk}/change/").content.decode()
    assert "Access denied" in page
    assert needed in page


BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.mark.both_databases
def test_rows_made_by_plain_orm_are_found_and_run(
    project_env: Project, aws_simulator: Simulator
) -> None:
    """As other Django code may make them: no service, no bell."""
    seed(aws_simulator.endpoint_url, regions=("us-east-1",), instances=3)
    account = add_simulated_account()
    Account.objects.filter(pk=account.pk).update(regions=["us-east-1"])
    account.refresh_from_db()
    by_account = ScanJob.objects.create(account=account)
    by_url = ScanJob.objects.create(kind="url", url="https://example.org", tenant=account.tenant)
    project_env.manage("qcluster", "--drain", AWS_ENDPOINT_URL=aws_simulator.endpoint_url)
    for job in (by_account, by_url):
        job.refresh_from_db()
    assert (by_account.state, by_account.tenant_id) == ("COMPLETED", account.tenant_id)
    assert Instance.objects.present().count() == 3
    assert by_url.state == "FAILED", "this release has no page fetcher"
    assert by_url.errors[0]["retryable"] is False
