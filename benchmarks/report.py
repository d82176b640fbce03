"""The figures as a table, with their ratio and whether each aim is met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.contest import OURS, PEER, Plan, Result


@dataclass(frozen=True)
class Figure:
    """One line of the table. `aim`: the most it should be on PostgreSQL."""

    name: str
    read: Callable[[Result], float | None]
    aim: float | None = None


FIGURES = (
    Figure("start p50, ms", lambda r: r.p50_ms, aim=40),
    Figure("start p99, ms", lambda r: r.p99_ms, aim=150),
    Figure("jobs/s, enqueue included", lambda r: r.jobs_per_second),
    Figure("jobs finished", lambda r: r.finished),
    Figure("CPU of one job, ms", lambda r: r.cpu_ms_per_job),
    Figure("one enqueue, ms", lambda r: r.enqueue_ms),
    Figure("idle: cluster, % of a core", lambda r: r.idle.cluster_cpu),
    Figure("idle: database, % of a core", lambda r: r.idle.database_cpu),
    Figure("idle: both, % of a core", lambda r: r.idle.cpu, aim=6),
    Figure("idle: memory, MB PSS", lambda r: r.idle.pss_mb, aim=350),
    Figure("processes", lambda r: r.idle.processes),
    Figure("other work then, % of a core", lambda r: r.idle.other_cpu),
)


@dataclass(frozen=True)
class Line:
    """A figure of both contestants, as the table and the JSON file show it."""

    name: str
    ours: float | None
    peer: float | None
    ratio: float | None
    aim: float | None
    is_met: bool | None


def compare_lines(database: str, results: dict[str, Result]) -> list[Line]:
    return [_line(figure, database, results) for figure in FIGURES]


def print_comparison(database: str, results: dict[str, Result], plan: Plan) -> None:
    table = Table(title=f"{database}, lane {plan.lane}: {plan.probes} probes, {plan.jobs} jobs")
    table.add_column("")
    for heading in (OURS.name, PEER.name, "ratio", "aim", "met"):
        table.add_column(heading, justify="right")
    for line in compare_lines(database, results):
        table.add_row(
            line.name,
            _text(line.ours),
            _text(line.peer),
            _text(line.ratio, 2),
            f"≤ {line.aim:g}" if line.aim is not None else "",
            {True: "yes", False: "NO", None: ""}[line.is_met],
        )
    console = Console()
    console.print(table)
    for name, result in results.items():
        for trouble in result.trouble:
            console.print(f"{name}: {trouble}")


def _line(figure: Figure, database: str, results: dict[str, Result]) -> Line:
    ours, peer = (figure.read(results[side.name]) for side in (OURS, PEER))
    aim = figure.aim if database == "postgresql" else None
    return Line(
        name=figure.name,
        ours=ours,
        peer=peer,
        ratio=ours / peer if ours is not None and peer else None,
        aim=aim,
        is_met=ours <= aim if aim is not None and ours is not None else None,
    )


def _text(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
