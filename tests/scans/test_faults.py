"""Each call of a scan fails alone, in each way AWS may fail: what is said, stored and left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from scans.aws import clients, throttle
from scans.aws.clients import AwsSession, open_session
from scans.aws.collectors.all import COLLECTORS
from scans.aws.collectors.rows import INSTANCE, LOAD_BALANCER, Collector
from scans.aws.costs.explorer import QUESTIONS
from scans.aws.runner import Scan
from scans.aws.simulator import SIMULATED_KEYS, Simulator, start_simulator
from scans.aws.store import inventory
from scans.models import Account, CostFetch, Instance, Resource, ScanJob
from tests.aws_simulator import estate
from tests.aws_simulator.fault_proxy import THROTTLING, Fault, FaultProxy
from tests.factories import make_account
from tests.ports import free_port

pytestmark = [pytest.mark.django_db, pytest.mark.services]

REGION = "eu-west-1"
AGO = timedelta(days=1)

MAIN_CALLS = [(c.service, c.call) for c in COLLECTORS]
DETAIL_CALLS = [(c.service, d.call) for c in COLLECTORS for d in c.details]
METRIC_CALLS = [("cloudwatch", "GetMetricData"), ("cloudwatch", "ListMetrics")]
COSTS = "ce"  # has tests of its own, and was asked an hour ago here
ACTIONS = {
    ("cloudwatch", "GetMetricData"): "cloudwatch:GetMetricData",
    ("cloudwatch", "ListMetrics"): "cloudwatch:ListMetrics",
    **{(c.service, c.call): c.iam_action for c in COLLECTORS},
    **{(c.service, d.call): d.iam_action for c in COLLECTORS for d in c.details},
}
ONCE = {"GetMetricData": 2}  # hourly series and daily ones
SIGNED_AS = {"cloudwatch": "monitoring"}

FAULTS = {
    "denied": (Fault(code="AccessDenied"), "denied"),
    "throttling": (Fault(code="Throttling"), "throttled"),
    "expired": (Fault(code="ExpiredToken"), "error"),
    "not opted in": (Fault(code="OptInRequired"), "not_enabled"),
    "server error": (Fault(code="InternalError"), "error"),
    "no answer": (Fault(hangs=True), "error"),
    "half an answer": (Fault(cuts=True), "error"),
    "half a page": (Fault(garbles=True), "error"),
}


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Simulator, FaultProxy, estate.Estate]]:
    """One of each thing, built once: no test changes it."""
    with start_simulator(free_port(), age=timedelta()) as simulator:
        built = estate.build(simulator.endpoint_url, REGION)
        with FaultProxy(simulator.endpoint_url, remembers=True) as proxy:
            yield simulator, proxy, built


@pytest.fixture
def proxy(
    world: tuple[Simulator, FaultProxy, estate.Estate],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[FaultProxy]:
    _, proxy, _ = world
    settings.AWS_ENDPOINT_URL = proxy.endpoint_url
    settings.AWS_ATTEMPTS = 1
    # How slow throttling makes us has tests of its own.
    monkeypatch.setattr(clients, "RETRY_MODE", "standard")
    monkeypatch.setattr(throttle, "LOWEST_RATE", 500.0)
    monkeypatch.setattr(throttle, "HIGHEST_RATE", 500.0)
    yield proxy
    proxy.mend()
    proxy.forget_calls()


@pytest.fixture
def session(proxy: FaultProxy) -> Iterator[AwsSession]:
    """One for all scans of a test: its clients cost more than a scan does."""
    with open_session(SIMULATED_KEYS) as session:
        session.caller_identity()
        yield session


def wait_less(fault: Fault, account: Account, session: AwsSession, settings: Settings) -> None:
    """Where no answer comes, wait for none much longer than all others take, on this machine as
    busy as it is: by now the proxy knows them by heart."""
    if fault.hangs:
        started = time.monotonic()
        run(account, session)
        settings.AWS_READ_TIMEOUT_SECONDS = max(1.0, 5 * (time.monotonic() - started))
        session.close()  # its next clients read the setting anew


def run(account: Account, session: AwsSession) -> tuple[Scan, dict[tuple[str, str], str]]:
    """A scan up to the rules, and how each (service, call) ended."""
    ScanJob.objects.all().delete()
    job = ScanJob.objects.create(
        account=account,
        kind="aws",
        state="FETCHING",
        lease_owner="test",
        lease_until=timezone.now() + timedelta(minutes=5),
    )
    scan = Scan(job, account, session, COLLECTORS)
    scan.run()
    units = job.units.exclude(service=COSTS)
    return scan, {(unit.service, unit.call): unit.outcome for unit in units}


def account_of_one_region() -> Account:
    account = make_account(regions=[REGION])
    for question in QUESTIONS:
        CostFetch.objects.create(account=account, call=question.call, fetched_at=timezone.now())
    return account


def plant_left_overs(account: Account) -> None:
    """One thing of each collector that AWS no longer lists."""
    Instance.objects.all().delete()
    Resource.objects.all().delete()
    for collector in COLLECTORS:
        shared: dict[str, Any] = {
            "account": account,
            "region": REGION,
            "resource_id": f"gone-{collector.service}",
            "last_seen_at": timezone.now() - AGO,
            "spec": {"type": "classic" if collector.service == "elb" else "application"},
        }
        if collector.kind == INSTANCE:
            Instance.objects.create(**shared)
        else:
            Resource.objects.create(kind=collector.kind, **shared)


def left_over(account: Account, collector: Collector) -> Any:
    return inventory(account, collector.kind).get(resource_id=f"gone-{collector.service}")


def test_every_call_succeeds_and_everything_is_stored(
    proxy: FaultProxy,
    session: AwsSession,
    world: tuple[Simulator, FaultProxy, estate.Estate],
) -> None:
    account = account_of_one_region()
    plant_left_overs(account)
    scan, outcomes = run(account, session)
    assert outcomes == dict.fromkeys([*MAIN_CALLS, *DETAIL_CALLS, *METRIC_CALLS], "ok")
    assert scan.gone == len(COLLECTORS)
    _, _, built = world
    seen = set(Resource.objects.present().values_list("resource_id", flat=True))
    assert seen >= {
        built.volume_id,
        built.allocation_id,
        built.snapshot_id,
        built.image_snapshot_id,
        built.image_id,
        built.nat_gateway_id,
        built.database_id,
        built.database_snapshot_id,
        built.balancer_arn,
        built.classic_name,
        built.bucket,
    }
    assert [i.resource_id for i in Instance.objects.present()] == [built.instance_id]


@pytest.mark.parametrize("name", FAULTS)
def test_a_call_that_fails_fails_alone_and_takes_nothing_for_gone(
    name: str, proxy: FaultProxy, session: AwsSession, settings: Settings
) -> None:
    fault, outcome = FAULTS[name]
    account = account_of_one_region()
    run(account, session)
    wait_less(fault, account, session, settings)
    others = dict.fromkeys([*MAIN_CALLS, *DETAIL_CALLS, *METRIC_CALLS], "ok")
    for service, call in MAIN_CALLS:
        plant_left_overs(account)
        scan, outcomes = run_with(proxy, fault, service, call, account, session)
        assert outcomes.pop((service, call)) == outcome
        assert missing_action(scan) == (ACTIONS[service, call] if outcome == "denied" else "")
        (collector,) = [c for c in COLLECTORS if (c.service, c.call) == (service, call)]
        expected = _without(others, collector)
        assert outcomes == expected, (name, service, call)
        for other in COLLECTORS:
            assert left_over(account, other).is_gone == (other is not collector)
        # Of load balancers there are two lists: rules need both.
        assert (collector.kind, REGION) not in scan.succeeded
        assert len(scan.succeeded) == len({c.kind for c in COLLECTORS}) - 1


@pytest.mark.parametrize("name", FAULTS)
def test_a_detail_that_fails_leaves_a_gap_and_its_thing_known(
    name: str, proxy: FaultProxy, session: AwsSession, settings: Settings
) -> None:
    fault, outcome = FAULTS[name]
    account = account_of_one_region()
    run(account, session)
    wait_less(fault, account, session, settings)
    for service, call in [*DETAIL_CALLS, *METRIC_CALLS]:
        scan, outcomes = run_with(proxy, fault, service, call, account, session)
        assert outcomes.pop((service, call)) == outcome, (name, service, call)
        assert missing_action(scan) == (ACTIONS[service, call] if outcome == "denied" else "")
        assert set(outcomes.values()) == {"ok"}
        assert len(scan.succeeded) == len({c.kind for c in COLLECTORS})
    denied = run_with(proxy, fault, "elbv2", "DescribeTargetHealth", account, session)
    assert denied[1]["elbv2", "DescribeLoadBalancers"] == "ok"
    balancer = Resource.objects.get(kind=LOAD_BALANCER, spec__type="application")
    assert balancer.spec["healthy_targets"] is None
    assert len(balancer.spec["target_groups"]) == 1


def test_what_an_organization_forbids_is_no_missing_permission(
    proxy: FaultProxy, session: AwsSession
) -> None:
    message = (
        "User: arn:aws:sts::111122223333:assumed-role/x/y is not authorized to perform: "
        "rds:DescribeDBInstances with an explicit deny in a service control policy"
    )
    proxy.add(Fault(code="AccessDenied", message=message, action="DescribeDBInstances"))
    scan, _ = run(account_of_one_region(), session)
    unit = scan.job.units.get(call="DescribeDBInstances")
    assert (unit.outcome, unit.missing_action) == ("denied", "")
    assert unit.message.startswith("Your organization forbids rds:DescribeDBInstances here")


def test_a_throttled_run_drops_no_call(
    proxy: FaultProxy, settings: Settings, world: tuple[Simulator, FaultProxy, estate.Estate]
) -> None:
    settings.AWS_ATTEMPTS = 5
    calls = [*MAIN_CALLS, *METRIC_CALLS, *DETAIL_CALLS]
    for service, call in calls:
        signed_as = SIGNED_AS.get(service, service)
        code = THROTTLING.get(service, "Throttling")
        proxy.add(Fault(code=code, service=signed_as, action=call, times=1))
    account = account_of_one_region()
    with open_session(SIMULATED_KEYS) as session:
        scan, outcomes = run(account, session)
    assert outcomes == dict.fromkeys(calls, "ok")
    counts = {(c.service, c.action): 0 for c in proxy.calls}
    for seen in proxy.calls:
        counts[seen.service, seen.action] += 1
    for service, call in calls:
        again = counts[SIGNED_AS.get(service, service), call] - ONCE.get(call, 1)
        assert again == 1, (service, call)
    units = list(scan.job.units.exclude(service=COSTS))
    assert sum(unit.throttled for unit in units) == scan.throttled() == len(calls)
    assert sum(unit.calls for unit in units) == 2 * len(calls) + 1
    assert Resource.objects.present().exists()


def missing_action(scan: Scan) -> str:
    """What to allow, by the one unit that did not succeed."""
    (unit,) = scan.job.units.exclude(service=COSTS).exclude(outcome="ok")
    return str(unit.missing_action)


def run_with(
    proxy: FaultProxy,
    fault: Fault | None,
    service: str,
    call: str,
    account: Account,
    session: AwsSession,
) -> tuple[Scan, dict[tuple[str, str], str]]:
    if fault is None:
        return run(account, session)
    service = SIGNED_AS.get(service, service)
    proxy.add(replace(fault, service=service, action=call))
    try:
        return run(account, session)
    finally:
        proxy.mend()


def _without(outcomes: dict[tuple[str, str], str], failed: Collector) -> dict[Any, str]:
    """What is asked when this collector's list is unknown: no details, and of instances no
    memory either."""
    missing = {(failed.service, failed.call)}
    missing |= {(failed.service, detail.call) for detail in failed.details}
    if failed.kind == INSTANCE:
        missing.add(("cloudwatch", "ListMetrics"))
    return {name: outcome for name, outcome in outcomes.items() if name not in missing}
