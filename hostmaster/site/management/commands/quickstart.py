"""`manage.py quickstart`: from an empty database to a scanned account and a running server."""

from __future__ import annotations

import http.client
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from hostmaster.site import first_steps
from hostmaster.site.processes import Child, stop, web_command, workers_command
from scans import presentation
from scans.aws.errors import AWS_ERRORS, CredentialsRefusedError, safe_message
from scans.aws.shell import shell_identity
from scans.aws.simulator import Simulator, SimulatorError, seed_demo, start_simulator
from scans.models import ScanJob

HOST = "127.0.0.1"
LOOPBACK = "127.0.0.1/32"
READY_SECONDS = 60
SOURCES = ("hostmaster", "scans", "monitors", "alerts", "templates")
GRACE_SECONDS = 10  # somebody sits before it and waits


class Command(BaseCommand):
    help = (
        "Set up a tenant and an administrator, start the web server and the workers, scan a first "
        "AWS account (a simulated one without --aws), watch itself and a port where nobody "
        "listens, and serve until Ctrl-C. "
        "Examples: manage.py quickstart · manage.py quickstart --aws --port 8001"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--aws", action="store_true", help="scan the account this shell is logged in to"
        )
        parser.add_argument("--port", type=int, default=8000, help="default: 8000")
        parser.add_argument("--no-scan", action="store_true", help="start without a first scan")
        parser.add_argument(
            "--dev", action="store_true", help="restart web and workers when the code changes"
        )

    def handle(self, **options: Any) -> None:
        self.console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self.port: int = options["port"]
        self.is_dev: bool = options["dev"]
        self.children: list[Child] = []
        self._require_free_port()
        if not self.is_dev:
            logging.disable(logging.INFO)  # the children's logs are in var/; here people read
        with stop_signals():
            try:
                self._serve(is_aws=options["aws"], is_scanning=not options["no_scan"])
            finally:
                self._stop()

    def _serve(self, *, is_aws: bool, is_scanning: bool) -> None:
        call_command("migrate", verbosity=0, interactive=False)
        self._set_up()
        if is_aws:
            if is_scanning:
                self._require_aws_login()
            self._start_children(simulator_url="")
            if is_scanning:
                self._scan_current_account()
        else:
            with self._simulator() as simulator:
                self._start_children(simulator_url=simulator.endpoint_url)
                if is_scanning:
                    self._scan_simulated_account()
                self._stay()
            return
        self._stay()

    def _set_up(self) -> None:
        self.tenant = first_steps.first_tenant()
        password = first_steps.first_administrator(self.tenant)
        if password:
            self.console.print(
                f"Administrator [bold]{first_steps.ADMINISTRATOR}[/bold], password "
                f"[bold]{password}[/bold] (shown this once; "
                "manage.py changepassword sets another)"
            )
        self.watch = first_steps.first_watch(self.tenant, self.address)

    @contextmanager
    def _simulator(self) -> Iterator[Simulator]:
        try:
            simulator = start_simulator()
        except SimulatorError as error:
            raise CommandError(str(error)) from error
        with simulator:
            seed_demo(simulator.endpoint_url)
            settings.AWS_SIMULATOR_URL = simulator.endpoint_url
            yield simulator

    def _start_children(self, *, simulator_url: str) -> None:
        environment = self._child_environment(simulator_url)
        self.children = [
            Child("web", web_command(self.port), environment, self._log("web")),
            Child("workers", workers_command(), environment, self._log("workers")),
        ]
        for child in self.children:
            child.start()
        self._wait_for_web()

    def _child_environment(self, simulator_url: str) -> dict[str, str]:
        opened = [*settings.HOSTMASTER_ALLOWED_NETWORKS, LOOPBACK]
        ours = {
            "START_WORKERS": "false",
            "PYTHONUNBUFFERED": "1",
            # Else no monitor could look at this machine.
            "HOSTMASTER_ALLOWED_NETWORKS": ",".join(dict.fromkeys(opened)),
        }
        if simulator_url:
            ours["AWS_SIMULATOR_URL"] = simulator_url
        defaults = {
            "PUBLIC_URL": self.address,
            "SHUTDOWN_GRACE_SECONDS": str(GRACE_SECONDS),
        }
        return defaults | dict(os.environ) | ours

    def _log(self, name: str) -> Path | None:
        if self.is_dev:
            return None
        folder: Path = settings.BASE_DIR / "var"
        folder.mkdir(exist_ok=True)
        return folder / f"{name}-{self.port}.log"

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    def _scan_simulated_account(self) -> None:
        account = first_steps.simulated_account(self.tenant)
        job = first_steps.first_scan(account)
        job = presentation.follow(job, self.console, self._look_after_children)
        if job.state == ScanJob.State.COMPLETED:
            presentation.print_summary(job, self.console)
        else:
            self.console.print(presentation.failure(job), style="red", markup=False)

    def _scan_current_account(self) -> None:
        """A failure is shown, and the server stays: the admin says more."""
        try:
            call_command("run_scan", "--current-credentials", "--tenant", str(self.tenant.pk))
        except CommandError as error:
            self.console.print(str(error), style="red", markup=False)

    def _require_aws_login(self) -> None:
        try:
            identity = shell_identity()
        except CredentialsRefusedError as error:
            raise CommandError(
                f"{error} Log in to AWS in this shell first, or start without --aws."
            ) from error
        except AWS_ERRORS as error:
            raise CommandError(f"AWS could not be asked: {safe_message(error)}") from error
        self.console.print(f"AWS account {identity.account_id}")

    def _tell_watch(self) -> None:
        if not self.watch.monitors:
            return
        self.console.print("\nWatched:")
        for monitor in self.watch.monitors:
            self.console.print(f"  {monitor.name}: {monitor.url}", markup=False)
        pages = f"{self.address}/admin/alerts"
        self.console.print(
            f"The second opens an incident within a minute: {pages}/incident/\n"
            f"Only the processes started here may reach {LOOPBACK} (HOSTMASTER_ALLOWED_NETWORKS)."
        )
        if not self.watch.has_channel:
            self.console.print(
                f"No channel yet, so nobody is told: add one at {pages}/alertchannel/add/ and "
                "choose it in the rule."
            )

    def _stay(self) -> None:
        self._tell_watch()
        self.console.print(f"\nOpen [bold]{self.address}/admin/[/bold]   Ctrl-C stops everything.")
        if self.is_dev:
            self._reload_on_change()
        while True:
            self._look_after_children()
            time.sleep(0.5)

    def _reload_on_change(self) -> None:
        from watchfiles import PythonFilter, watch

        python_and_pages = PythonFilter(extra_extensions=(".html", ".css", ".svg"))
        folders = [settings.BASE_DIR / name for name in SOURCES]
        for changes in watch(
            *folders, watch_filter=python_and_pages, rust_timeout=500, yield_on_timeout=True
        ):
            if changes:
                self.console.print(f"{Path(next(iter(changes))[1]).name} changed: restarting")
                stop(self.children, GRACE_SECONDS + 1)
                for child in self.children:
                    child.start()
                self._wait_for_web()

    def _wait_for_web(self) -> None:
        give_up_at = time.monotonic() + READY_SECONDS
        while not self._web_answers():
            if not self.is_dev:
                self._look_after_children()
            if time.monotonic() > give_up_at:
                raise CommandError(f"The web server did not answer within {READY_SECONDS} s.")
            time.sleep(0.1)

    def _web_answers(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=2)
        try:
            connection.request("GET", "/health/live")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _look_after_children(self) -> None:
        for child in self.children:
            if not child.is_running():
                raise CommandError(
                    f"The {child.name} process stopped by itself.\n{child.last_words()}"
                )

    def _require_free_port(self) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, self.port))
            except OSError as error:
                raise CommandError(
                    f"Port {self.port} is taken. Choose another with --port, for example "
                    f"--port {self.port + 1}."
                ) from error

    def _stop(self) -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        if any(child.is_running() for child in self.children):
            self.console.print("Stopping …")
            stop(self.children, GRACE_SECONDS + 1)


STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_signals() -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal end the block, with exit code 128 + signal."""
    got: list[int] = []

    def leave(signum: int, frame: object) -> None:
        got.append(signum)
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # an impatient second Ctrl-C leaves no orphans
        raise SystemExit(128 + signum)

    before: dict[int, Callable[..., Any] | int | None] = {
        number: signal.signal(number, leave) for number in STOP_SIGNALS
    }
    try:
        yield
    except KeyboardInterrupt:  # what watchfiles makes of any signal's exception
        raise SystemExit(128 + got[-1]) from None
    finally:
        if not got:  # else the process ends, and stays deaf: the second press would change its code
            for number, handler in before.items():
                signal.signal(number, handler)
