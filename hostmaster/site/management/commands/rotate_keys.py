"""`manage.py rotate_keys`: every stored secret under the current key."""

from __future__ import annotations

import json
import signal
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hostmaster.core.crypto import EncryptionKeyError, check_keys
from hostmaster.core.rotation import RotationReport, SealedColumn, reseal_column, sealed_columns

EXAMPLE = """
To change the key: put the old one into ENCRYPTION_KEYS_OLD and a new one into ENCRYPTION_KEY,
restart web and workers, run this, then remove the old key. Safe while everything runs; when it is
interrupted, run it again and it goes on.

example:
  manage.py rotate_keys --batch 500
"""


class _StoppedError(Exception):
    """Stopped by a signal after the batch in hand."""


class Command(BaseCommand):
    help = "Seal every stored secret under the current ENCRYPTION_KEY."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, epilog=EXAMPLE, **kwargs)
        parser.formatter_class = RawDescriptionHelpFormatter  # keeps the example's lines
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--batch", type=int, default=200, metavar="N", help="Default: 200 rows."
        )
        parser.add_argument("--json", action="store_true", help="One JSON object on stdout.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["batch"] < 1:
            raise CommandError("--batch must be 1 or more.", returncode=2)
        self.as_json = options["json"]
        self.stop_asked = False
        report = RotationReport()
        try:
            check_keys()
            with self._signals_caught():
                for column in sealed_columns():
                    self._rotate(column, report, options["batch"])
        except EncryptionKeyError as error:
            raise CommandError(str(error)) from error
        except _StoppedError:
            raise CommandError(
                f"Stopped: {report.resealed} re-sealed. Run it again to go on.", returncode=130
            ) from None
        self._summarise(report)

    def _rotate(self, column: SealedColumn, report: RotationReport, batch: int) -> None:
        total, before = column.under_old_keys().count(), report.resealed

        def after_batch() -> None:
            self._progress(f"{column.name}: {report.resealed - before} of {total}")
            if self.stop_asked:
                raise _StoppedError

        reseal_column(column, report, batch_size=batch, after_batch=after_batch)

    def _progress(self, line: str) -> None:
        out = self.stderr if self.as_json else self.stdout
        out.write(line, style_func=str)
        out.flush()

    def _summarise(self, report: RotationReport) -> None:
        if self.as_json:
            self.stdout.write(json.dumps(asdict(report)))
        else:
            self._tell(report)
        if report.unreadable:
            raise CommandError(
                f"{len(report.unreadable)} stored secrets do not open. UnknownKeyError: add their "
                "key to ENCRYPTION_KEYS_OLD and run this again. SealBrokenError: enter them again."
            )
        if report.remaining:
            raise CommandError(
                f"{report.remaining} stored secrets are still under an old key: something that "
                "has the old ENCRYPTION_KEY keeps writing them. Restart it, then run this again."
            )

    def _tell(self, report: RotationReport) -> None:
        for item in report.unreadable:
            self.stdout.write(f"unreadable: {item.table}.{item.field} {item.pk} ({item.reason})")
        self.stdout.write(f"{report.resealed} re-sealed, {len(report.unreadable)} unreadable.")

    @contextmanager
    def _signals_caught(self) -> Iterator[None]:
        """SIGTERM and Ctrl-C finish the batch in hand."""

        def ask_to_stop(number: int, frame: FrameType | None) -> None:
            self.stop_asked = True

        before = {
            number: signal.signal(number, ask_to_stop) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
