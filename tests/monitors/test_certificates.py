"""Certificates ride on ordinary checks, every five minutes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django import Settings

from hostmaster.core.tenants.models import Tenant
from monitors import services, settling
from monitors.claims import claim_due
from monitors.models import Monitor, MonitorCheck, MonitorRun
from monitors.probes.types import Certificate, CertificateReport, Observation, Target
from monitors.settling import Result
from monitors.sweep import Sweep
from tests.monitors.engines import ScriptedEngine
from tests.monitors.probes.certificates import issue
from tests.monitors.probes.servers import Server, answer, says
from tests.monitors.test_sweep import make_due, sweep_until_idle

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

ENDS = datetime(2027, 3, 1, tzinfo=UTC)


def report(**more: object) -> CertificateReport:
    leaf = Certificate("CN=example.com", "CN=CA\x00", timezone.now(), ENDS, ("example.com",), "ab")
    fields = {"valid": True, "reason": "", "expires_at": ENDS, "days_left": 97, "chain": (leaf,)}
    return CertificateReport(**{**fields, **more})  # type: ignore[arg-type]


class Site:
    def __init__(self) -> None:
        self.report = report()

    def answer(self, target: Target) -> Observation:
        seen = self.report if target.wants_certificate else None
        return Observation(True, status_code=200, response_time_ms=12, certificate=seen)


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def engine(site: Site) -> ScriptedEngine:
    return ScriptedEngine(site.answer)


@pytest.fixture
def monitor(tenant: Tenant) -> Monitor:
    return services.add_monitor(tenant, name="Shop", url="HTTPS://example.com/")


def check(monitor: Monitor, engine: ScriptedEngine) -> None:
    sweep = Sweep(lambda _: engine)
    make_due(monitor)
    sweep_until_idle(sweep)
    sweep.close()


def test_the_first_check_looks_and_the_run_keeps_what_it_saw(
    monitor: Monitor, engine: ScriptedEngine
) -> None:
    check(monitor, engine)

    (stored,) = MonitorCheck.objects.all()
    assert (stored.ssl_valid, stored.ssl_expires_at) == (True, ENDS)
    run = MonitorRun.objects.get()
    assert (run.ssl_valid, run.ssl_reason, run.ssl_expires_at) == (True, "", ENDS)
    assert [c["subject"] for c in run.certificates] == ["CN=example.com"]
    assert run.next_certificate_at is not None
    wait = run.next_certificate_at - timezone.now()
    assert timedelta(seconds=290) < wait <= timedelta(seconds=300)


def test_until_the_next_look_checks_say_nothing_of_it(
    monitor: Monitor, engine: ScriptedEngine
) -> None:
    check(monitor, engine)
    check(monitor, engine)
    MonitorRun.objects.update(next_certificate_at=timezone.now())
    check(monitor, engine)

    assert [target.wants_certificate for target in engine.asked] == [True, False, True]
    looks = MonitorCheck.objects.order_by("checked_at").values_list("ssl_valid", flat=True)
    assert list(looks) == [True, None, True]
    assert MonitorRun.objects.get().ssl_valid


@pytest.mark.parametrize(
    "fields", [{"url": "http://example.com"}, {"check_certificate": False}, {"kind": "tcp"}]
)
def test_others_are_not_asked(
    monitor: Monitor, engine: ScriptedEngine, fields: dict[str, object]
) -> None:
    Monitor.objects.filter(pk=monitor.pk).update(**fields)
    check(monitor, engine)
    assert [target.wants_certificate for target in engine.asked] == [False]


@pytest.mark.parametrize(
    ("change", "is_news"),
    [
        ({}, False),
        ({"valid": False, "reason": "expired"}, True),
        ({"expires_at": ENDS + timedelta(days=90)}, True),
    ],
)
def test_a_certificate_that_turned_is_news(
    monitor: Monitor, engine: ScriptedEngine, change: dict[str, object], is_news: bool
) -> None:
    check(monitor, engine)
    make_due(monitor)
    (claim,) = claim_due(1, "test")
    now = timezone.now()
    seen = Observation(True, status_code=200, certificate=report(**change))

    assert settling.certificate_changed(Result(claim, seen, now, now)) is is_news


def test_a_day_less_is_news_once_the_end_is_near(
    monitor: Monitor, engine: ScriptedEngine, site: Site
) -> None:
    now = timezone.now()
    ends = now + timedelta(days=20, minutes=1)
    site.report = report(expires_at=ends, days_left=20)
    check(monitor, engine)
    make_due(monitor)
    (claim,) = claim_due(1, "test")

    def is_news(days_left: int) -> bool:
        seen = Observation(True, certificate=report(expires_at=ends, days_left=days_left))
        return settling.certificate_changed(Result(claim, seen, now, now))

    assert is_news(19)
    claim = claim._replace(next_certificate_at=now)
    assert not is_news(20)


def test_a_private_root_is_trusted_when_the_operator_names_it(
    tenant: Tenant, settings: Settings, tmp_path: Path
) -> None:
    settings.HOSTMASTER_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    root = issue("Company root", is_ca=True)
    bundle = tmp_path / "roots.pem"
    bundle.write_bytes(root.pem)
    with Server(says(answer()), tls=issue("leaf", root).context()) as server:
        monitor = services.add_monitor(tenant, name="Intranet", url=server.url())
        for named in ("", str(bundle)):
            settings.MONITOR_CA_BUNDLE = named
            make_due(monitor)
            sweep = Sweep()
            sweep_until_idle(sweep, 60)
            sweep.close()
            assert monitor.checks.latest("checked_at").success is bool(named)
