"""`manage.py queue_stats`: each lane's queue on a terminal, or as JSON."""

from __future__ import annotations

import json
import sys
import time
from argparse import RawDescriptionHelpFormatter
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.live import Live
from rich.table import Table

from hostmaster.core.web.cells import span
from hostmaster.site.queue import LaneStats, queue_stats

REFRESH_SECONDS = 2.0
HEADINGS = (
    "lane",
    "waiting",
    "due",
    "active",
    "completed 24 h",
    "failed 24 h",
    "dead",
    "oldest wait",
    "workers",
)
EXAMPLE = """
With --watch it looks again each 2 seconds until Ctrl-C (exit code 130); with --json too, one array
a line.

examples:
  manage.py queue_stats --watch
  manage.py queue_stats --json | jq '.[] | select(.dead > 0)'
"""


class Command(BaseCommand):
    help = "Show what waits, runs, completed, failed and died in each lane, and who works there."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, epilog=EXAMPLE, **kwargs)
        parser.formatter_class = RawDescriptionHelpFormatter  # keeps the example's lines
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="JSON on stdout.")
        parser.add_argument("--watch", action="store_true", help="Look again each 2 seconds.")

    def handle(self, *args: Any, **options: Any) -> None:
        self.as_json: bool = options["json"]
        try:
            if options["watch"]:
                self._watch()
            else:
                self._show(queue_stats())
        except KeyboardInterrupt:
            raise SystemExit(130) from None

    def _watch(self) -> None:
        if self.as_json or not self.stdout.isatty():
            while True:
                self._show(queue_stats())
                time.sleep(REFRESH_SECONDS)
        with Live(_table(queue_stats()), console=_console(), auto_refresh=False) as live:
            while True:
                time.sleep(REFRESH_SECONDS)
                live.update(_table(queue_stats()), refresh=True)

    def _show(self, stats: list[LaneStats]) -> None:
        if self.as_json:
            self.stdout.write(json.dumps([lane.as_json() for lane in stats]))
        elif self.stdout.isatty():
            _console().print(_table(stats))
        else:
            self._write_plain(stats)
        self.stdout.flush()

    def _write_plain(self, stats: list[LaneStats]) -> None:
        rows = [HEADINGS, *(_cells(lane) for lane in stats)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
        for row in rows:
            first, *rest = zip(row, widths, strict=True)
            cells = [first[0].ljust(first[1]), *(text.rjust(width) for text, width in rest)]
            self.stdout.write("  ".join(cells))
        for line in _advice(stats):
            self.stdout.write(line)


def _console() -> Console:
    return Console(file=sys.stdout, highlight=False)


def _table(stats: list[LaneStats]) -> Table:
    caption = "\n".join(_advice(stats)) or None
    # Without lines and with headings that wrap it fits into 80 columns.
    table = Table(box=None, padding=(0, 2, 0, 0), caption=caption, caption_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "lane" else "right")
    for lane in stats:
        cells = list(_cells(lane))
        if lane.dead:
            cells[HEADINGS.index("dead")] = f"[red]✗ {lane.dead}[/red]"
        table.add_row(*cells)
    return table


def _advice(stats: list[LaneStats]) -> list[str]:
    return [f"! {lane.lane}: {lane.advice}" for lane in stats if lane.advice]


def _cells(lane: LaneStats) -> tuple[str, ...]:
    wait = lane.oldest_wait_seconds
    return (
        lane.lane,
        str(lane.waiting),
        str(lane.due),
        str(lane.active),
        str(lane.completed_24h),
        str(lane.failed_24h),
        str(lane.dead),
        span(None if wait is None else timedelta(seconds=wait)),
        str(lane.workers) if lane.workers else "none",
    )
