"""A scan followed to its end on a terminal, and its result as a table."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from scans.aws.collectors.rows import ADDRESS, VOLUME
from scans.models import Account, Instance, Recommendation, Resource, ScanJob

LOOK_SECONDS = 0.2


def follow(job: ScanJob, console: Console, look_after: Callable[[], None]) -> ScanJob:
    """Show its progress until it is final. `look_after` is called at each look; it may raise."""
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    ]
    shown = ""
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("Waiting for a worker", total=None)
        while job.is_open:
            look_after()
            time.sleep(LOOK_SECONDS)
            job.refresh_from_db()
            doing = _doing(job)
            total = job.progress_total or None
            progress.update(task, description=doing, completed=job.progress_done, total=total)
            if doing != shown and not console.is_terminal:
                console.print(doing)
            shown = doing
    return job


def _doing(job: ScanJob) -> str:
    words = {
        ScanJob.State.QUEUED: "Waiting for a worker",
        ScanJob.State.FETCHING: "Reading the account",
        ScanJob.State.ANALYZING: "Looking for savings",
    }
    attempt = f" (attempt {job.attempts})" if job.attempts > 1 else ""
    return words.get(ScanJob.State(job.state), f"Scan {job.get_state_display().lower()}") + attempt


def summary_table(job: ScanJob) -> Table:
    """What the scan found, from the rows themselves."""
    account = job.account
    table = Table(title=_title(job, account), show_header=False, title_justify="left")
    for name, value in _lines(job, account):
        table.add_row(name, value)
    return table


def _title(job: ScanJob, account: Account | None) -> str:
    name = account.name if account else "AWS account"
    number = f" ({account.aws_account_id})" if account and account.aws_account_id else ""
    return f"{name}{number}, scanned {job.finished_at:%Y-%m-%d %H:%M} UTC"


def _lines(job: ScanJob, account: Account | None) -> list[tuple[str, str]]:
    found = Recommendation.objects.open().filter(account=account)
    low, high = found.monthly_saving()
    units = job.units.values_list("outcome", "region")
    good = sum(outcome == "ok" for outcome, _ in units)
    return [
        ("Instances", str(Instance.objects.present().filter(account=account).count())),
        ("Volumes", _count(account, VOLUME)),
        ("Addresses", _count(account, ADDRESS)),
        ("Regions", str(len({region for _, region in units}))),
        ("Findings", str(found.count())),
        ("Savings a month", f"${low:,.2f}" + (f" to ${high:,.2f}" if high != low else "")),
        ("Coverage", f"{good} of {len(units)} calls answered"),
    ]


def _count(account: Account | None, kind: str) -> str:
    return str(Resource.objects.present().filter(account=account, kind=kind).count())


def failure(job: ScanJob) -> str:
    """Why a scan came to nothing, as its last attempt had it."""
    reason = job.errors[-1]["message"] if job.errors else "no reason was recorded"
    return f"The scan ended {job.get_state_display().lower()}: {reason}"
