"""The figures as a table, their ratios, and whether each aim is met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.aws.comparison import COPIES
from benchmarks.aws.contestants import Result

CUSTODIAN = "Cloud Custodian"
WALL_SECONDS = 4.0
PEAK_MB = 200.0
LESS_WALL = 3.0
LESS_CPU = 4.0
FLAT = 1.15  # ten times the resources, and this much of the memory at most


@dataclass(frozen=True)
class Aim:
    what: str
    value: float
    bound: float
    is_most: bool  # or else the least

    @property
    def is_met(self) -> bool:
        return self.value <= self.bound if self.is_most else self.value >= self.bound


def judge(results: Mapping[str, Result], databases: Sequence[str]) -> list[Aim]:
    """The same four kinds."""
    aims: list[Aim] = []
    for database in databases:
        ours = results[f"hostmaster, four, {database}"]
        aims.append(Aim(f"{database}: wall, s", ours.wall_seconds, WALL_SECONDS, is_most=True))
        aims.append(Aim(f"{database}: peak memory, MB", ours.peak_mb, PEAK_MB, is_most=True))
        if (peer := results.get(CUSTODIAN)) is not None:
            less_wall = peer.wall_seconds / ours.wall_seconds
            less_cpu = peer.cpu_seconds / (ours.cpu_seconds + ours.database_cpu_seconds)
            aims.append(Aim(f"{database}: times less wall", less_wall, LESS_WALL, is_most=False))
            aims.append(Aim(f"{database}: times less CPU", less_cpu, LESS_CPU, is_most=False))
            aims += _aims_of_job(database, ours, peer)
        for verb in ("four", "everything"):
            more = results.get(f"hostmaster, {verb}, {database}, {COPIES}x")
            if more is not None:
                grown = more.peak_mb / results[f"hostmaster, {verb}, {database}"].peak_mb
                what = f"{database}: memory of {verb} at {COPIES}x, times that at 1x"
                aims.append(Aim(what, grown, FLAT, is_most=True))
    return aims


def _aims_of_job(database: str, ours: Result, peer: Result) -> list[Aim]:
    """The start left out: a worker starts once for many scans, Custodian for each run."""
    wall, cpu = ours.job_wall_seconds, ours.job_cpu_seconds
    if wall is None or cpu is None:
        return []
    less_cpu = peer.cpu_seconds / (cpu + ours.database_cpu_seconds)
    return [
        Aim(f"{database}: wall of the job, s", wall, WALL_SECONDS, is_most=True),
        Aim(f"{database}: times less CPU, the job", less_cpu, LESS_CPU, is_most=False),
    ]


def print_results(results: Mapping[str, Result], aims: Sequence[Aim]) -> None:
    console = Console(width=140)  # the table in full where the output is a file
    table = Table(title="One scan, its process's start included (job: without it)")
    table.add_column("")
    headings = ("wall s", "job s", "CPU s", "job", "database", "peak MB")
    for heading in (*headings, "calls", "new", "resources", "findings"):
        table.add_column(heading, justify="right")
    for result in results.values():
        table.add_row(result.name, *_cells(result))
    console.print(table)
    verdicts = Table(title="Aims")
    for heading in ("", "is", "aim", "met"):
        verdicts.add_column(heading, justify="right" if heading else "left")
    for aim in aims:
        bound = f"{'≤' if aim.is_most else '≥'} {aim.bound:g}"
        verdicts.add_row(aim.what, f"{aim.value:.2f}", bound, "yes" if aim.is_met else "NO")
    console.print(verdicts)
    for result in results.values():
        for told in result.told.get("not_ok", ()):
            console.print(f"{result.name}: {told}")


def _cells(result: Result) -> list[str]:
    return [
        _text(result.wall_seconds),
        _text(result.job_wall_seconds),
        _text(result.cpu_seconds),
        _text(result.job_cpu_seconds),
        _text(result.database_cpu_seconds or None),
        _text(result.peak_mb, 0),
        str(result.calls),
        str(result.new_calls),
        f"{result.told['resources']:,}" if "resources" in result.told else "–",
        f"{result.told['findings']:,}" if "findings" in result.told else "–",
    ]


def _text(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
