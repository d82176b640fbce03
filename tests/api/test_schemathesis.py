"""Thousands of generated requests, right and wrong ones: no 500, and each answer as documented."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from django.utils import timezone
from hypothesis import HealthCheck, Phase, Verbosity, given, seed
from hypothesis import settings as hypothesis_settings
from pytest_django.fixtures import Settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from alerts.models import AlertChannel, AlertRule, Incident, Notification, Silence
from alerts.services import silence
from hostmaster.core.tenants.models import Role, Tenant
from monitors.models import MaintenanceWindow, Monitor
from monitors.services import add_maintenance
from scans.aws.rule_settings import set_rule
from scans.models import Account, Budget, Recommendation, RuleSetting, ScanJob
from tests.api.caller import BASE
from tests.aws_simulator.fault_proxy import FaultProxy
from tests.factories import (
    bearer,
    make_account,
    make_budget,
    make_channel,
    make_check,
    make_incident,
    make_instance,
    make_monitor,
    make_recommendation,
    make_resource,
    make_rule,
    make_scan_job,
    make_tenant,
    make_token,
)
from tests.projects import Project

# Thousands of requests take their time beside other work; what they cost is limited below.
pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

SEED = 20261124
CASES = {"sqlite": 2000, "postgresql": 600}  # at least so many, over all operations
CPU_SECONDS = 300  # of this process; 40 to 100, as busy as the machine is: only a runaway has 300
LIKE_THE_DOCUMENT = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# They talk to others: tests of their own do that.
LEFT_OUT = {
    "/api/v1/accounts/{account_id}/connect",
    "/api/v1/alert-channels/{channel_id}/test",
}

ROWS = {
    "account_id": Account,
    "scan_id": ScanJob,
    "recommendation_id": Recommendation,
    "setting_id": RuleSetting,
    "budget_id": Budget,
    "monitor_id": Monitor,
    "window_id": MaintenanceWindow,
    "channel_id": AlertChannel,
    "rule_id": AlertRule,
    "incident_id": Incident,
    "notification_id": Notification,
    "silence_id": Silence,
}


@pytest.fixture
def tenant(project_env: Project) -> Tenant:
    """A tenant with a few rows of everything, so that not each id is unknown."""
    tenant = make_tenant()
    for state in ("QUEUED", "FAILED", "TIMED_OUT", "COMPLETED"):
        account = make_account(tenant=tenant)
        make_scan_job(account=account, state=state)
        make_instance(account=account)
        make_resource(account=account)
        for _ in range(3):
            make_recommendation(account=account)
        set_rule(tenant, rule="ebs.unattached", account=account)
        make_budget(tenant=tenant, account=account)
        monitor = make_monitor(tenant=tenant)
        make_check(monitor=monitor)
        add_maintenance(
            tenant,
            name="a",
            starts_at=timezone.now(),
            duration=timedelta(hours=1),
            monitors=[monitor],
        )
        rule = make_rule(tenant=tenant, monitor=monitor)
        incident = make_incident(tenant=tenant, monitor=monitor, alert_rule=rule)
        Notification.objects.create(
            tenant=tenant,
            incident=incident,
            channel=make_channel(tenant=tenant),
            seq=1,
            event="opened",
        )
        silence(tenant, reason="a", until=timezone.now() + timedelta(hours=1))
    return tenant


@pytest.fixture
def nobody(settings: Settings) -> Iterator[FaultProxy]:
    """Whoever wants to talk to AWS, talks to this, and is found out."""
    with FaultProxy("http://127.0.0.1:1") as proxy:
        settings.AWS_ENDPOINT_URL = proxy.endpoint_url
        yield proxy


def make_real(case: Any, tenant: Tenant, number: int) -> None:
    """Name one of the tenant's own rows, in turn, as it is now."""
    for name in case.path_parameters or {}:
        model: Any = ROWS[name]
        rows = model.objects.filter(tenant=tenant).order_by("pk")
        if not (count := rows.count()):
            continue
        row = rows[number % count]
        case.path_parameters[name] = str(row.pk)
        if isinstance(case.body, dict) and case.body.get("version"):
            case.body["version"] = row.version


def fuzz(operation: Any, mode: GenerationMode, tenant: Tenant, cases: int) -> Counter[int]:
    """Send about so many; how often each status came."""
    statuses: Counter[int] = Counter()
    headers = bearer(make_token(tenant=tenant, role=Role.ADMIN))

    @seed(SEED)
    @hypothesis_settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
        print_blob=False,
    )
    @given(case=operation.as_strategy(mode))
    def send(case: Any) -> None:
        number = statuses.total()
        if number % 3:
            make_real(case, tenant, number)
        response = case.call_and_validate(headers=headers, checks=LIKE_THE_DOCUMENT)
        statuses[response.status_code] += 1

    send()
    return statuses


def operations() -> list[Any]:
    """Those to try; forgetting accounts comes last."""
    schema = schemathesis.openapi.from_wsgi(f"{BASE}/openapi.json", get_wsgi_application())
    found = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    assert {each.path for each in found} >= LEFT_OUT
    chosen = [each for each in found if each.path not in LEFT_OUT]
    return sorted(chosen, key=lambda each: each.method.upper() == "DELETE")


def test_no_request_of_thousands_is_a_500_or_answered_unlike_the_document(
    project_env: Project, tenant: Tenant, nobody: FaultProxy, settings: Settings
) -> None:
    settings.API_RATE_PER_MINUTE = 1_000_000
    cases = CASES[project_env.database]
    chosen = operations()
    each = -(-cases // (2 * len(chosen))) + 10  # hypothesis may skip a few
    total: Counter[int] = Counter()
    print(f"seed {SEED}")
    started = time.process_time()
    logging.disable(logging.WARNING)  # each refused request would be a line
    try:
        for operation in chosen:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                found = fuzz(operation, mode, tenant, each)
                print(operation.method.upper(), operation.path, mode.value, dict(found))
                total += found
    finally:
        logging.disable(logging.NOTSET)
    seconds = time.process_time() - started
    print(f"{total.total()} requests in {seconds:.0f} s: {dict(total)}")
    assert total.total() >= cases
    assert {200, 201, 202, 404, 409, 422} <= set(total), "right requests are among them"
    assert nobody.calls == [], "nobody asked AWS"
    assert seconds < CPU_SECONDS
