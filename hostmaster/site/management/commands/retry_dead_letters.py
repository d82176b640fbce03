"""`manage.py retry_dead_letters`: bring jobs that failed for good back to work."""

from __future__ import annotations

import json
from argparse import RawDescriptionHelpFormatter
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from hostmaster.core.tenants.services import TenantChoiceError, default_tenant
from hostmaster.site import dead_letters
from hostmaster.site.dead_letters import Choice, KindReport, UnknownChoiceError

EXAMPLE = """
All attempts begin anew, the history stays. A job with an open twin stays dead: the twin does its
work. Exit code: 0 all revived (or none there), 1 some were not, 2 wrong use.

examples:
  manage.py retry_dead_letters --dry-run
  manage.py retry_dead_letters --kind aws --since 24
  manage.py retry_dead_letters --id 0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0
"""


class Command(BaseCommand):
    help = "Retry dead letters: jobs that failed for good."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, epilog=EXAMPLE, **kwargs)
        parser.formatter_class = RawDescriptionHelpFormatter  # keeps the example's lines
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--kind", default="", help="Only this kind, such as aws.")
        parser.add_argument("--label", default="", help="Only this model, such as scans.ScanJob.")
        parser.add_argument("--tenant", metavar="NAME", help="Only this tenant's; default: all.")
        parser.add_argument(
            "--id", action="append", default=[], help="Only this job; may be given several times."
        )
        parser.add_argument(
            "--since", type=float, metavar="HOURS", help="Only those that died so lately."
        )
        parser.add_argument("--dry-run", action="store_true", help="Count them, change nothing.")
        parser.add_argument("--json", action="store_true", help="One JSON object on stdout.")

    def handle(self, *args: Any, **options: Any) -> None:
        choice = self._choice(options)
        try:
            kinds = dead_letters.chosen_kinds(choice)
        except UnknownChoiceError as error:
            raise CommandError(str(error), returncode=2) from error
        if options["dry_run"]:
            reports = [dead_letters.count(kind, choice) for kind in kinds]
        else:
            actor = "retry_dead_letters"
            reports = [dead_letters.revive(kind, choice, actor=actor) for kind in kinds]
        reports = [report for report in reports if report.dead]
        if options["json"]:
            self._write_json(reports, is_dry=options["dry_run"])
        else:
            self._tell(reports, is_dry=options["dry_run"])
        self._judge(reports, choice, is_dry=options["dry_run"])

    def _choice(self, options: dict[str, Any]) -> Choice:
        hours = options["since"]
        if hours is not None and not 0 < hours <= 24 * 3650:
            raise CommandError("--since is a number of hours above 0.", returncode=2)
        try:
            tenant = default_tenant(options["tenant"]) if options["tenant"] else None
        except TenantChoiceError as error:
            raise CommandError(str(error), returncode=2) from error
        return Choice(
            kind=options["kind"],
            label=options["label"],
            tenant=tenant,
            ids=tuple(options["id"]),
            died_since=None if hours is None else timezone.now() - timedelta(hours=hours),
        )

    def _write_json(self, reports: list[KindReport], *, is_dry: bool) -> None:
        answer = {
            "dry_run": is_dry,
            "dead": sum(report.dead for report in reports),
            "revived": sum(report.revived for report in reports),
            "kinds": [asdict(report) for report in reports],
        }
        self.stdout.write(json.dumps(answer))

    def _tell(self, reports: list[KindReport], *, is_dry: bool) -> None:
        if not reports:
            self.stdout.write("No dead letters.")
        for report in reports:
            self.stdout.write(f"{report.label} {report.kind}: {_sentence(report, is_dry=is_dry)}")

    def _judge(self, reports: list[KindReport], choice: Choice, *, is_dry: bool) -> None:
        found = sum(report.dead for report in reports)
        missing = len(set(choice.ids)) - found
        if missing > 0:
            raise CommandError(f"{missing} of the ids given {_is(missing)} no such dead letter.")
        kept = found - sum(report.revived for report in reports)
        if kept and not is_dry:
            raise CommandError(f"{kept} {_is(kept)} still dead.")


def _sentence(report: KindReport, *, is_dry: bool) -> str:
    if is_dry:
        return f"{report.dead} would be retried"
    parts = [f"{report.revived} revived"]
    if report.with_open_twin:
        parts.append(f"{report.with_open_twin} with an open twin")
    if report.left:
        parts.append(f"{report.left} changed meanwhile")
    return ", ".join(parts)


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
