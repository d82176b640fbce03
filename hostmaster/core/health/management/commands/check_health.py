"""Check all components once, for people and for monitoring plugins."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from hostmaster.core.health.checks import run_all_health_checks
from hostmaster.core.health.models import Status
from hostmaster.core.logs import exception_text

CANNOT_TELL = 3
EXIT_CODES = {
    Status.HEALTHY: 0,
    Status.DEGRADED: 1,
    Status.CRITICAL: 2,
    Status.UNKNOWN: CANNOT_TELL,
}
MARKS = {
    Status.HEALTHY: "✓",
    Status.DEGRADED: "!",
    Status.CRITICAL: "✗",
    Status.UNKNOWN: "?",
    Status.NOT_CONFIGURED: "–",
}


class _Answer(SystemExit):
    """The exit code of a check that came to its end."""


class Command(BaseCommand):
    help = (
        "Check all components now. Exit code: 0 healthy, 1 degraded, 2 critical, 3 cannot tell or "
        "wrong use. Example: manage.py check_health --json"
    )
    requires_system_checks = []  # a wrong setting is for `check` to report, not to blind us

    def run_from_argv(self, argv: list[str]) -> None:
        """Only a finished check may answer 1 or 2; argparse's 2 and a traceback's 1 become 3."""
        try:
            super().run_from_argv(argv)
        except _Answer:
            raise
        except SystemExit as leaving:
            raise SystemExit(CANNOT_TELL if leaving.code else 0) from None
        except Exception as error:  # noqa: BLE001 whatever it is, it is no verdict
            self.stderr.write(f"Cannot tell: {exception_text(error)}")
            raise SystemExit(CANNOT_TELL) from None

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="machine-readable answer on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        answer = run_all_health_checks()
        if options["json"]:
            self.stdout.write(json.dumps(answer, indent=2))
        else:
            self._print(answer)
        code = EXIT_CODES[Status(answer["status"])]
        if code:
            raise _Answer(code)

    def _print(self, answer: dict[str, Any]) -> None:
        for name, component in answer["components"].items():
            status = Status(component["status"])
            self.stdout.write(
                f"{MARKS[status]} {name:<16} {status.value:<15} {component['message']}"
            )
        self.stdout.write(f"Overall: {answer['status']}")
