from __future__ import annotations

from datetime import timedelta

from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.jobs.retry import RetryPolicy
from hostmaster.core.registry import AppRegistry, Doorbell, Drain, JobKind, Schedule

TASKS = "tests.kernel_app.tasks"


def errand(
    kind: str, *, seconds: float = 20, lane: Lane = Lane.SCANS, attempts: int = 3
) -> JobKind:
    return JobKind(
        model="kernel_app.Errand",
        kind=kind,
        handler=f"{TASKS}.handle_{kind}",
        lane=lane,
        deadline=timedelta(seconds=seconds),
        retry=RetryPolicy(attempts),
        after_settle=f"{TASKS}.after_settle",
        cap=(lambda: 2) if kind == "capped" else None,
        cap_group=kind,
    )


REGISTRY = AppRegistry(
    jobs=(
        errand("note"),
        errand("quick", lane=Lane.DEFAULT),
        errand("sleep", seconds=60),
        errand("stubborn", seconds=60),
        errand("query", seconds=60),
        errand("torn", seconds=60),
        errand("deaf", seconds=60),
        errand("overrun", seconds=1, attempts=1),
        errand("fail"),
        errand("refuse"),
        errand("die", attempts=2),
        errand("capped"),
    ),
    doorbells=(Doorbell("kernel_app.bell", f"{TASKS}.answer_bell", Lane.ALERTS),),
    drains=(
        Drain("slow", Lane.DEFAULT, f"{TASKS}.slow_due", f"{TASKS}.drain_slow", priority=90),
        Drain("urgent", Lane.ALERTS, f"{TASKS}.urgent_due", f"{TASKS}.drain_urgent", priority=1),
    ),
    schedules=(
        Schedule(
            "kernel_tick",
            f"{TASKS}.tick",
            "* * * * * */1",
            Lane.DEFAULT,
            description="Each second.",
        ),
        Schedule("kernel_yearly", f"{TASKS}.tick", "0 0 1 1 * 0", Lane.DEFAULT),
        Schedule("kernel_broken", f"{TASKS}.broken_tick", "0 0 1 1 * 0", Lane.DEFAULT),
    ),
)
