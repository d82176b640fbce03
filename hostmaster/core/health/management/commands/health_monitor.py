"""Run the health monitor as a process of its own."""

from __future__ import annotations

import signal
from argparse import ArgumentParser
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from hostmaster.core.health.monitor import HealthMonitor


class Command(BaseCommand):
    help = (
        "Check all components each 30 seconds until SIGTERM or Ctrl-C. qcluster's alerts lane does "
        "the same; both may run, one at a time checks. Example: manage.py health_monitor"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--interval", type=float, default=30.0, metavar="SECONDS", help="default: 30"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["interval"] <= 0:
            raise CommandError("--interval must be above 0.", returncode=2)
        monitor = HealthMonitor(options["interval"])

        def stop(signum: int, frame: FrameType | None) -> None:
            monitor.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        monitor.monitor_loop()
