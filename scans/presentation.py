"""A scan on a terminal: its progress while it runs, its result as a table."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from django.db.models import Count
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from scans.aws.collectors.rows import (
    ADDRESS,
    BUCKET,
    DATABASE,
    DATABASE_SNAPSHOT,
    IMAGE,
    LOAD_BALANCER,
    NAT_GATEWAY,
    SNAPSHOT,
    VOLUME,
)
from scans.aws.rules.tally import undecided
from scans.models import (
    Account,
    Instance,
    Recommendation,
    Resource,
    ScanJob,
    ScanKind,
    ScanUnit,
    UnitOutcome,
)

LOOK_SECONDS = 0.2
REGIONS_NAMED = 4

_NAMES = {
    VOLUME: "Volumes",
    ADDRESS: "Addresses",
    SNAPSHOT: "Snapshots",
    IMAGE: "Images",
    DATABASE: "Databases",
    DATABASE_SNAPSHOT: "Database snapshots",
    LOAD_BALANCER: "Load balancers",
    NAT_GATEWAY: "NAT gateways",
    BUCKET: "Buckets",
}
_DOING = {
    ScanJob.State.QUEUED: "Waiting for a worker",
    ScanJob.State.FETCHING: "Reading the account",
    ScanJob.State.ANALYZING: "Looking for savings",
}


class ScanView:
    """A bar on a terminal; elsewhere a line whenever the scan does something else."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._said = ""
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """One line that stays."""
        self.console.print(text, markup=False)

    def show(self, job: ScanJob) -> None:
        """What the scan does now, by its row as it was read last."""
        self._show(_doing(job), job.progress_done, job.progress_total or None)

    def show_waiting(self, seconds: float) -> None:
        """The countdown to the next attempt; elsewhere than on a terminal the line before says it
        once."""
        if self.console.is_terminal:
            self._show(f"Next attempt in {max(seconds, 0):.0f} s", 0, None)

    @contextmanager
    def watching(self, job: ScanJob) -> Iterator[None]:
        """Show the scan that the body runs, from another thread and without asking the database:
        the row in memory is the one its handler writes."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(LOOK_SECONDS):
                self.show(job)

        watcher = threading.Thread(target=look, name="scan-view", daemon=True)
        self.show(job)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def _show(self, text: str, done: int, total: int | None) -> None:
        self._progress.update(self._task, description=text, completed=done, total=total)
        if text != self._said and not self.console.is_terminal:
            self.say(text)
        self._said = text


def follow(job: ScanJob, console: Console, look_after: Callable[[], None]) -> ScanJob:
    """Show a scan that others run until it is over. `look_after` is called at each look; it may
    raise."""
    with ScanView(console) as view:
        while job.is_open:
            look_after()
            time.sleep(LOOK_SECONDS)
            job.refresh_from_db()
            view.show(job)
    return job


def _doing(job: ScanJob) -> str:
    text = _DOING.get(ScanJob.State(job.state), f"Scan {job.get_state_display().lower()}")
    if job.kind == ScanKind.URL:
        text = text.replace("the account", "the page").replace("savings", "threats")
    return f"{text} (attempt {job.attempts})" if job.attempts > 1 else text


def print_summary(job: ScanJob, console: Console) -> None:
    """What the scan found, from the rows themselves, and what AWS did not let it see."""
    table = Table(title=Text(_title(job)), show_header=False, title_justify="left")
    for name, value in _lines(job):
        table.add_row(name, value)
    console.print(table)
    # Below the table, whose cells would break the names that people copy.
    for line in unseen(list(job.units.all())):
        console.print(f"Not seen: {line}", markup=False)
    for line in undecided(job.summary.get("rules") or {}):
        console.print(f"Cannot judge: {line}", markup=False)


def failure(job: ScanJob) -> str:
    """Why a scan came to nothing, as its last attempt had it."""
    reason = job.errors[-1]["message"] if job.errors else "no reason was recorded"
    return f"The scan ended {job.get_state_display().lower()}: {reason}"


def _title(job: ScanJob) -> str:
    at = f"scanned {job.finished_at:%Y-%m-%d %H:%M} UTC"
    if job.kind == ScanKind.URL:
        return f"{job.url}, {at}"
    name = job.account.name if job.account else "AWS account"
    number = job.account.aws_account_id if job.account else ""
    return f"{name} ({number}), {at}" if number else f"{name}, {at}"


def _lines(job: ScanJob) -> list[tuple[str, str]]:
    if job.kind == ScanKind.URL:
        return [("Verdict", str(job.summary.get("verdict", "unknown")))]
    account = job.account
    units = list(job.units.all())
    return [
        ("Instances", f"{Instance.objects.present().filter(account=account).count():,}"),
        *_resources(account),
        ("Regions", str(len({unit.region for unit in units}))),
        *_findings(account),
        ("Coverage", _coverage(units)),
    ]


def _findings(account: Account | None) -> list[tuple[str, str]]:
    found = Recommendation.objects.open().filter(account=account)
    low, high = found.monthly_saving()
    saving = f"${low:,.2f} to ${high:,.2f}" if high != low else f"${low:,.2f}"
    return [("Findings", str(found.count())), ("Savings a month", saving)]


def _coverage(units: list[ScanUnit]) -> str:
    good = sum(unit.outcome == UnitOutcome.OK for unit in units)
    return f"{good} of {len(units)} calls answered"


def unseen(units: list[ScanUnit]) -> list[str]:
    """Each call that was not answered, where, and the IAM action to allow."""
    where: dict[tuple[str, str], list[str]] = {}
    for unit in units:
        if unit.outcome != UnitOutcome.OK:
            where.setdefault((_what_failed(unit), _remedy(unit)), []).append(unit.region)
    return [f"{what} in {_named(regions)}{remedy}" for (what, remedy), regions in where.items()]


def _what_failed(unit: ScanUnit) -> str:
    return f"{unit.service} {unit.call}: {unit.get_outcome_display().lower()}"


def _remedy(unit: ScanUnit) -> str:
    if unit.missing_action:
        return f", allow {unit.missing_action}"
    return f" ({unit.error_code})" if unit.error_code else ""


def _named(regions: list[str]) -> str:
    shown = ", ".join(regions[:REGIONS_NAMED])
    more = len(regions) - REGIONS_NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def _resources(account: Account | None) -> list[tuple[str, str]]:
    """How many of each kind; of those always looked for, a zero too."""
    present = Resource.objects.present().filter(account=account).order_by("kind")
    counted = dict(present.values_list("kind").annotate(Count("pk")))
    counts = {VOLUME: 0, ADDRESS: 0, **counted}
    return [(_NAMES.get(kind, kind), f"{count:,}") for kind, count in counts.items()]
