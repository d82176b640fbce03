"""`manage.py run_scan`: one scan, here and now, with its progress, its result and an exit code."""

from __future__ import annotations

import logging
import sys
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from hostmaster.core import logs
from hostmaster.core.jobs import leases, stopping
from hostmaster.core.tenants.models import Tenant
from hostmaster.core.tenants.services import (
    TenantChoiceError,
    add_tenant_argument,
    default_tenant,
)
from scans.api.scans import ScanDetailOut
from scans.aws.accounts import NoCredentialsHereError
from scans.aws.errors import AWS_ERRORS, CredentialsRefusedError, safe_message
from scans.foreground import ACTOR, Foreground, StopSignals, held_by_this_process
from scans.models import Account, ScanJob
from scans.presentation import ScanView, failure, print_summary
from scans.services import request_scan, request_scan_by_shell, request_url_scan

FAILED, WRONG_USE, VERDICT_MET = 1, 2, 3

VERDICTS = ("suspicious", "malicious")  # each as bad as those before it, or worse

EXAMPLES = """
examples:
  manage.py run_scan --account Production
  manage.py run_scan --current-credentials --regions eu-west-1 eu-central-1
  manage.py run_scan --url https://example.com/ --fail-on suspicious --json
  manage.py run_scan --account Production --queue

exit codes:
  0 done   1 failed   2 wrong use   3 --fail-on met   130 Ctrl-C   143 SIGTERM

Ctrl-C cancels the scan. SIGTERM gives it back to the workers.
"""


class Command(BaseCommand):
    help = "Run a scan in this process, or leave it to the workers with --queue."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, epilog=EXAMPLES, **kwargs)
        parser.formatter_class = RawDescriptionHelpFormatter  # keeps the examples' lines
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--account", metavar="NAME", help="an account, by name or UUID")
        what.add_argument("--url", help="a page")
        what.add_argument(
            "--current-credentials",
            action="store_true",
            help="the AWS account this shell is logged in to; its credentials are kept nowhere",
        )
        add_tenant_argument(parser)
        parser.add_argument(
            "--regions", nargs="+", default=[], metavar="REGION", help="these regions only"
        )
        parser.add_argument(
            "--queue", action="store_true", help="leave it to the workers and print its id"
        )
        parser.add_argument("--no-retry", action="store_true", help="one attempt")
        parser.add_argument(
            "--fail-on", choices=VERDICTS, help="with --url: exit 3 for this verdict or a worse one"
        )
        parser.add_argument(
            "--json", action="store_true", help="the scan as one JSON object on stdout"
        )

    def handle(self, **options: Any) -> None:
        self._refuse_what_does_not_fit(options)
        # With --json stdout is for the machine; what people read goes where the logs go.
        out = sys.stderr if options["json"] else sys.stdout
        self.console = Console(file=out, highlight=False, soft_wrap=True)
        if options["queue"]:
            job = self._request(options)
            self.stdout.write(_as_json(job) if options["json"] else str(job.pk))
            return
        quiet = _quiet_logs() if self._is_read_by_a_person(options) else nullcontext()
        with quiet, StopSignals() as signals:
            self._run(self._claim(options, signals), options, signals)

    def _refuse_what_does_not_fit(self, options: dict[str, Any]) -> None:
        if options["queue"] and options["current_credentials"]:
            raise CommandError(
                "The workers do not have this shell's AWS login: leave --queue away.",
                returncode=WRONG_USE,
            )
        if options["queue"] and (options["no_retry"] or options["fail_on"]):
            raise CommandError(
                "--no-retry and --fail-on need the scan to run here: leave --queue away.",
                returncode=WRONG_USE,
            )
        if options["url"] is None and options["fail_on"]:
            raise CommandError("--fail-on is about pages: give --url.", returncode=WRONG_USE)
        if options["url"] is not None and options["regions"]:
            raise CommandError("A page has no --regions.", returncode=WRONG_USE)

    def _is_read_by_a_person(self, options: dict[str, Any]) -> bool:
        return self.console.is_terminal and options["verbosity"] < 2

    def _request(self, options: dict[str, Any], *, claim: bool = False) -> ScanJob:
        """The scan that is wanted, or the one of the same that is open already."""
        try:
            tenant = default_tenant(options["tenant"])
            return self._requester(tenant, options, claim)()
        except TenantChoiceError as error:
            raise CommandError(str(error), returncode=WRONG_USE) from error
        except ValidationError as error:
            raise CommandError(" ".join(error.messages), returncode=WRONG_USE) from error
        except CredentialsRefusedError as error:
            raise CommandError(str(error), returncode=FAILED) from error
        except AWS_ERRORS as error:
            message = f"AWS could not be asked: {logs.mask(safe_message(error))}"
            raise CommandError(message, returncode=FAILED) from error

    def _claim(self, options: dict[str, Any], signals: StopSignals) -> ScanJob:
        """As `_request`, until a signal comes. What is ours by then is left by `_run`."""
        try:
            return stopping.run_interruptible(partial(self._request, options, claim=True))
        except stopping.StoppingError:
            stopping.drop_connections()
            if (job := held_by_this_process()) is not None:
                return job
            self.stderr.write("Stopped before the scan began.")
            sys.exit(128 + (signals.stopped_by or 0))

    def _requester(
        self, tenant: Tenant, options: dict[str, Any], claim: bool
    ) -> Callable[[], ScanJob]:
        if options["url"] is not None:
            return partial(
                request_url_scan, tenant, options["url"], requested_by=ACTOR, claim=claim
            )
        regions = options["regions"]
        if options["current_credentials"]:
            return partial(request_scan_by_shell, tenant, regions=regions, requested_by=ACTOR)
        account = _find_account(tenant, options["account"])
        return partial(request_scan, account, regions=regions, requested_by=ACTOR, claim=claim)

    def _run(self, job: ScanJob, options: dict[str, Any], signals: StopSignals) -> None:
        with ScanView(self.console) as view:
            if not leases.is_ours(job.lease_owner):
                view.say(_already_open(job))
            foreground = Foreground(job, view, signals, is_retrying=not options["no_retry"])
            job = foreground.run()
        if signals.stopped_by is not None:
            self.stderr.write(_how_left(foreground))
            sys.exit(128 + signals.stopped_by)
        self._report(job, options)

    def _report(self, job: ScanJob, options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(_as_json(job))
        elif job.state == ScanJob.State.COMPLETED:
            print_summary(job, self.console)
        if job.state != ScanJob.State.COMPLETED:
            raise CommandError(failure(job), returncode=FAILED)
        if is_as_bad(job, options["fail_on"]):
            message = f"The verdict is {job.summary['verdict']}."
            raise CommandError(message, returncode=VERDICT_MET)


def is_as_bad(job: ScanJob, fail_on: str | None) -> bool:
    """The scan's verdict is `fail_on` or worse."""
    verdict = job.summary.get("verdict")
    if fail_on is None or verdict not in VERDICTS:
        return False
    return VERDICTS.index(verdict) >= VERDICTS.index(fail_on)


def _find_account(tenant: Tenant, name: str) -> Account:
    account = Account.objects.filter(tenant=tenant, name=name).first() or _account_by_id(
        tenant, name
    )
    if account is None:
        names = list(Account.objects.filter(tenant=tenant).values_list("name", flat=True)[:20])
        choices = ", ".join(repr(each) for each in names) or "none yet"
        raise CommandError(
            f"There is no account {name!r}. There is: {choices}.", returncode=WRONG_USE
        )
    if account.auth == "none":
        message = f"{NoCredentialsHereError.__doc__} Here: log in and use --current-credentials."
        raise CommandError(message, returncode=WRONG_USE)
    return account


def _account_by_id(tenant: Tenant, text: str) -> Account | None:
    try:
        pk = UUID(text)
    except ValueError:
        return None
    return Account.objects.filter(tenant=tenant, pk=pk).first()


def _already_open(job: ScanJob) -> str:
    of = job.url if job.account is None else job.account.name
    since = f"{job.created_at:%Y-%m-%d %H:%M} UTC"
    return f"A scan of {of} is open since {since}, scan {job.pk}: following that one."


def _how_left(foreground: Foreground) -> str:
    job = foreground.job
    if not foreground.is_ours:
        return f"Scan {job.pk} goes on: it is run elsewhere."
    if foreground.kept_because is not None:
        reason = logs.exception_text(foreground.kept_because)
        return f"Scan {job.pk} could not be given back, its lease will end: {reason}"
    if job.is_open:
        return f"Scan {job.pk} was given back to the workers."
    return f"Scan {job.pk} is {job.get_state_display().lower()}."


def _as_json(job: ScanJob) -> str:
    return ScanDetailOut.from_orm(job).model_dump_json(indent=2)


@contextmanager
def _quiet_logs() -> Iterator[None]:
    """People read the progress; log lines would break it up. `-v 2` shows them."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
