"""Ours, instead of django-q2's command of the same name: see docs/adr/0002."""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from hostmaster.core.cluster.drain_all import drain_everything
from hostmaster.core.cluster.lane_process import run_lane
from hostmaster.core.cluster.stop_flag import StopFlag
from hostmaster.core.cluster.supervisor import Supervisor
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.jobs.schedules import set_up_schedules


class Command(BaseCommand):
    help = (
        "Run the workers: one process a lane (alerts, default, scans), restarted when it dies. "
        "SIGTERM or Ctrl-C ends within SHUTDOWN_GRACE_SECONDS; unfinished jobs are handed back. "
        "Examples: manage.py qcluster · manage.py qcluster --lane scans · "
        "manage.py qcluster --drain"
    )

    # Checks of pages import every page; ours are run where a person sees them.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        lanes = [lane.value for lane in Lane]
        parser.add_argument("--lane", choices=lanes, help="this lane only")
        parser.add_argument(
            "--drain", action="store_true", help="run everything due now in this process, then exit"
        )
        parser.add_argument("--supervisor-pid", type=int, help="internal: run as a lane's process")

    def handle(self, **options: Any) -> None:
        lanes = [Lane(options["lane"])] if options["lane"] else list(Lane)
        if options["supervisor_pid"]:
            sys.exit(run_lane(lanes[0], options["supervisor_pid"]))
        self.check(tags=["hostmaster"])
        self._require_migrated()
        if options["drain"]:
            self._drain(lanes)
            return
        try:
            sys.exit(Supervisor(lanes).run())
        except OSError as error:
            raise CommandError(
                f"WORKER_PORT {settings.WORKER_PORT} cannot be opened ({error}). Choose another."
            ) from error

    def _drain(self, lanes: list[Lane]) -> None:
        StopFlag(settings.SHUTDOWN_GRACE_SECONDS)
        set_up_schedules()
        ran = drain_everything(lanes)
        self.stderr.write(f"Ran {ran} due messages, jobs, batches and schedules.")

    def _require_migrated(self) -> None:
        try:
            executor = MigrationExecutor(connection)
            waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
        except DatabaseError as error:
            raise CommandError(
                f"The database cannot be reached ({error}). Check DATABASE_URL."
            ) from error
        if waiting:
            raise CommandError("The database is not migrated. Run: python manage.py migrate")
