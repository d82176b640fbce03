"""From connecting to figures in a process of its own: no schedule runs, nobody waits for one."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from django_q.models import Schedule

from hostmaster.core.jobs.schedules import set_up_schedules
from scans.aws.costs.summary import cost_summary
from scans.aws.simulator import SIMULATED_KEYS, Simulator
from scans.models import MetricSummary, ScanJob
from scans.services import add_account, connect_account
from scans.totals import totals_of
from tests.aws_simulator.estate import put_hours
from tests.aws_simulator.fault_proxy import FaultProxy
from tests.aws_simulator.seed import seed
from tests.factories import make_tenant
from tests.projects import Project
from tests.scans.costs import answers

pytestmark = pytest.mark.services

REGION = "eu-west-1"


@pytest.fixture
def project(project_env: Project, fault_proxy: FaultProxy) -> Project:
    project_env.environment["AWS_ENDPOINT_URL"] = fault_proxy.endpoint_url
    return project_env


def test_after_connecting_cost_and_usage_are_there_with_no_schedule_run(
    aws_simulator: Simulator, fault_proxy: FaultProxy, project: Project
) -> None:
    seeded = seed(aws_simulator.endpoint_url, regions=[REGION], instances=2)
    for instance_id in seeded[REGION].instance_ids:
        of = {"InstanceId": instance_id}
        where = (aws_simulator.endpoint_url, REGION, "AWS/EC2", "CPUUtilization")
        put_hours(*where, of, [40.0] * 24)
    yesterday = timezone.now().date() - timedelta(days=1)
    fault_proxy.answer(
        "GetCostAndUsage",
        answers.usage({yesterday: {"Amazon Elastic Compute Cloud - Compute": "12.5"}}),
        answers.usage({yesterday: {REGION: "12.5"}}),
    )
    answers.answer_nothing(fault_proxy)
    # Nothing a schedule would do: all of them ran a moment ago.
    set_up_schedules()
    Schedule.objects.update(next_run=timezone.now() + timedelta(hours=1))
    account = add_account(
        make_tenant(),
        name="keys",
        regions=[REGION],
        access_key_id=SIMULATED_KEYS.access_key_id,
        secret_access_key=SIMULATED_KEYS.secret_access_key,
    )
    account = connect_account(account)
    assert (account.status, account.cache_generation) == ("connected", 0)
    assert totals_of([account])[account.pk].instances == 0

    project.manage("qcluster", "--drain")

    account.refresh_from_db()
    assert account.status == "active"
    totals = totals_of([account])[account.pk]
    assert (totals.instances, totals.monthly_usd > 0) == (2, True)
    assert cost_summary(account).last_30_days_usd == Decimal("12.5")
    cpu = MetricSummary.objects.filter(account=account, metric="cpu_percent")
    assert [(row.average, row.datapoints) for row in cpu] == [(40, 24), (40, 24)]
    assert [job.kind for job in ScanJob.objects.all()] == ["discovery"]
