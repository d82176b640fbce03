"""Processes that judge the same rules at the same instant tell of everything once."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerts.models import Incident, Notification
from tests.concurrency.processes import wait_for
from tests.factories import make_channel, make_check, make_checks, make_monitor, make_rule
from tests.projects import Project

pytestmark = [pytest.mark.services, pytest.mark.timeout(120)]

PROCESSES, MONITORS = 4, 40
# Each says when it is ready for a round and begins with the others. Half of them judge everything,
# and without the lease that spares them that.
JUDGE = """
import time
from pathlib import Path
from alerts.evaluation import evaluate_rules
from alerts.evaluators.types import WHOLE, Scope
from monitors.models import Monitor
folder, number = Path({folder!r}), {number}
ids = frozenset(Monitor.objects.values_list("pk", flat=True))
for turn in (1, 2):
    (folder / f"ready-{{turn}}-{{number}}").touch()
    while not (folder / f"go-{{turn}}").exists():
        time.sleep(0.001)
    evaluate_rules(WHOLE if number % 2 else Scope(ids))
"""


def all_ready(folder: Path, turn: int) -> bool:
    return len(list(folder.glob(f"ready-{turn}-*"))) == PROCESSES


def owed() -> dict[str, int]:
    events = list(Notification.objects.values_list("event", flat=True))
    return {event: events.count(event) for event in sorted(set(events))}


@pytest.mark.parametrize("project_env", ["postgresql"], indirect=True)
def test_processes_at_once_open_and_resolve_one_incident_each(
    project_env: Project, tmp_path: Path
) -> None:
    rule = make_rule(threshold=1)
    rule.channels.add(make_channel(tenant=rule.tenant))
    monitors = [make_monitor(tenant=rule.tenant) for _ in range(MONITORS)]
    for monitor in monitors:
        make_checks(monitor, False)
    judges = [
        project_env.start("shell", "-c", JUDGE.format(folder=str(tmp_path), number=number))
        for number in range(PROCESSES)
    ]

    wait_for(lambda: all_ready(tmp_path, 1), 60, "all processes are ready")
    (tmp_path / "go-1").touch()
    wait_for(lambda: all_ready(tmp_path, 2), 60, "all processes have judged")
    assert Incident.objects.unresolved().count() == Incident.objects.count() == MONITORS
    assert owed() == {"opened": MONITORS}

    for monitor in monitors:
        make_check(monitor=monitor)
    (tmp_path / "go-2").touch()
    codes = [judge.wait(60) for judge in judges]
    assert codes == [0] * PROCESSES, [project_env.log(judge) for judge in judges]
    assert not any("could not be" in project_env.log(judge) for judge in judges)
    assert Incident.objects.filter(status="resolved").count() == MONITORS
    assert owed() == {"opened": MONITORS, "resolved": MONITORS}
