"""`manage.py monitors export|plan|apply`: monitors as a document, with stable ids."""

from __future__ import annotations

import json
import os
import sys
from argparse import RawDescriptionHelpFormatter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hostmaster.core.tenants.services import (
    TenantChoiceError,
    add_tenant_argument,
    default_tenant,
)
from monitors import documents, importing
from monitors.documents import DocumentError
from monitors.importing import ApplyError
from monitors.planning import Change, FieldChange, Plan

EXAMPLE = """
A monitor belongs to the document by `id`, its external id. What the document does not say is the
default. Values of headers are written as ${NAME} and taken from the environment; `export` writes
(sealed), which `apply` leaves as it is. Exit code: 0 done, 1 failed, 2 wrong use; with
--detailed-exitcode `plan` answers 2 when there is something to do.

examples:
  manage.py monitors export > monitors.yaml
  manage.py monitors plan monitors.yaml
  manage.py monitors apply monitors.yaml --prune --tenant Default
"""
_MARKS = {"create": "+", "change": "~", "delete": "-"}
LONGEST_VALUE = 70


class Command(BaseCommand):
    help = "Monitors and maintenance windows as YAML: export them, plan, apply."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, epilog=EXAMPLE, **kwargs)
        parser.formatter_class = RawDescriptionHelpFormatter  # keeps the example's lines
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", choices=["export", "plan", "apply"])
        parser.add_argument(
            "file", nargs="?", default="-", metavar="FILE", help="- (default): stdin"
        )
        add_tenant_argument(parser)
        parser.add_argument(
            "--prune",
            action="store_true",
            help="Delete what has an external id and is not in the document.",
        )
        parser.add_argument(
            "--detailed-exitcode",
            action="store_true",
            help="plan: 2 when there is something to do.",
        )
        parser.add_argument("--json", action="store_true", help="One JSON object on stdout.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant = default_tenant(options["tenant"])
        except TenantChoiceError as error:
            raise CommandError(str(error), returncode=2) from error
        if options["verb"] == "export":
            self._export(tenant, options["file"])
            return
        try:
            document = documents.read(self._text(options["file"]))
            plan = importing.make_plan(tenant, document, os.environ, is_pruning=options["prune"])
        except DocumentError as error:
            raise CommandError(f"{options['file']}:\n{error}") from error
        if options["verb"] == "plan":
            self._tell(plan, is_json=options["json"])
            if options["detailed_exitcode"] and plan.changes:
                sys.exit(2)
        else:
            self._apply(plan, is_json=options["json"])

    def _export(self, tenant: Any, file: str) -> None:
        text = importing.export(tenant)
        if file == "-":
            self.stdout.write(text, ending="")
        else:
            Path(file).write_text(text, encoding="utf-8")

    def _text(self, file: str) -> str:
        try:
            if file == "-":
                return sys.stdin.read()
            return Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{file} cannot be read: {error}", returncode=2) from error

    def _tell(self, plan: Plan, *, is_json: bool) -> None:
        if is_json:
            self.stdout.write(json.dumps(_as_json(plan)))
            return
        for change in plan.changes:
            self.stdout.write(_line(change))
            for one in change.fields:
                self.stdout.write(f"    {_field_line(one)}")
        for name in plan.left:
            self.stdout.write(f"  {name} is not in the document; --prune deletes it")
        self.stdout.write(_summary(plan))

    def _apply(self, plan: Plan, *, is_json: bool) -> None:
        tokens: dict[str, str] = {}

        def tell(change: Change, row: Any) -> None:
            if token := getattr(row, "push_token", ""):
                tokens[change.key] = token
            if not is_json:
                self.stdout.write(_line(change))
                if token:
                    self.stdout.write(f"    push token, shown this once: {token}")

        try:
            importing.apply_plan(plan, tell)
        except ApplyError as error:
            raise CommandError(f"{error} Plan again to see what is left.") from error
        if is_json:
            self.stdout.write(json.dumps({**_as_json(plan), "push_tokens": tokens}))
        else:
            self.stdout.write(_summary(plan, is_done=True))


def _line(change: Change) -> str:
    name = f" “{change.name}”" if change.name != change.key else ""
    return f"{_MARKS[change.verb]} {change.verb} {change.kind} {change.key}{name}"


def _field_line(one: FieldChange) -> str:
    return f"{one.name}: {_shown(one.before)} → {_shown(one.after)}"


def _shown(value: Any) -> str:
    text = json.dumps(_plain(value), ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds() / 60
    return value


def _summary(plan: Plan, *, is_done: bool = False) -> str:
    if not plan.changes:
        return f"Nothing to do: {plan.unchanged} as the document says."
    words = (
        ("created", "changed", "deleted") if is_done else ("to create", "to change", "to delete")
    )
    counts = [plan.count(verb) for verb in _MARKS]
    told = ", ".join(f"{count} {word}" for count, word in zip(counts, words, strict=True))
    return f"{told}; {plan.unchanged} as the document says."


def _as_json(plan: Plan) -> dict[str, Any]:
    return {
        "changes": [
            {
                "verb": change.verb,
                "kind": change.kind,
                "id": change.key,
                "name": change.name,
                "fields": {
                    one.name: {"before": _plain(one.before), "after": _plain(one.after)}
                    for one in change.fields
                },
            }
            for change in plan.changes
        ],
        "left": plan.left,
        "unchanged": plan.unchanged,
    }
