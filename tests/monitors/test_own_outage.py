"""When everything falls silent at once, nobody is told that all of it is down."""

from __future__ import annotations

import pytest

from hostmaster.core.tenants.models import Tenant
from monitors import services
from monitors.models import Monitor, MonitorCheck, MonitorRollup, MonitorRun
from monitors.outage import MESSAGE
from monitors.probes.types import Observation, Target, failure
from monitors.sweep import Sweep
from tests.monitors.engines import ScriptedEngine
from tests.monitors.test_sweep import make_due, sweep_until_idle

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


class Network:
    def __init__(self) -> None:
        self.is_there = True

    def answer(self, target: Target) -> Observation:
        if self.is_there:
            return Observation(True, status_code=200, response_time_ms=5)
        return failure("dns", "The host name is not known.")


def test_unknown_not_down_and_up_again_after(tenant: Tenant) -> None:
    network = Network()
    sweep = Sweep(lambda _: ScriptedEngine(network.answer))
    monitors = [
        services.add_monitor(tenant, name=f"{n}", url=f"http://host{n % 8}.example/{n}")
        for n in range(40)
    ]
    sweep_until_idle(sweep)
    assert Monitor.objects.filter(status="up").count() == 40

    network.is_there = False
    sweep._watch._sightings.clear()  # as if the successes were ten seconds ago
    sweep._watch._silent = 0
    for _ in range(4):
        for monitor in monitors:
            make_due(monitor)
        sweep_until_idle(sweep)

    assert not Monitor.objects.filter(status="down").exists()
    assert Monitor.objects.filter(status="unknown", status_reason=MESSAGE).count() == 40
    assert MonitorRun.objects.filter(unseen_since=None).count() == 0
    spoilt = MonitorCheck.objects.filter(error_code="own_outage")
    assert spoilt.count() >= 3 * 40
    assert not spoilt.filter(success=True).exists()
    failures = sum(MonitorRollup.objects.values_list("failures", flat=True))
    failed = MonitorCheck.objects.filter(success=False).count()
    assert failures == failed - spoilt.count()  # those before we knew count, the others do not

    network.is_there = True
    for monitor in monitors:
        make_due(monitor)
    sweep_until_idle(sweep)
    assert Monitor.objects.filter(status="up").count() == 40
    assert MonitorRun.objects.filter(unseen_since=None).count() == 40
    sweep.close()
