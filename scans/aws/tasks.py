"""Runs AWS scans and discoveries: what the engine calls, safe to repeat."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from django.db import IntegrityError, transaction

from hostmaster.core import logs
from hostmaster.core.health.checks import run_all_health_checks
from hostmaster.core.jobs import doorbells
from hostmaster.core.jobs.models import LeaseLostError
from scans.aws import findings
from scans.aws.accounts import (
    NoCredentialsHereError,
    SimulatorNotRunningError,
    endpoint_of,
    source_of_job,
)
from scans.aws.clients import CallerIdentity, open_session
from scans.aws.collectors import instances
from scans.aws.collectors.all import COLLECTORS
from scans.aws.collectors.rows import Collector
from scans.aws.errors import CredentialsRefusedError, OwnIdentityError
from scans.aws.memory import frugal
from scans.aws.onboarding import ensure_nobody_elses
from scans.aws.prices.store import load_book
from scans.aws.runner import RULES_STEPS, Scan
from scans.aws.standing import account_of_number, check_identity, mark_failed, mark_scanned
from scans.models import Account, AccountStatus, ScanJob, ScanKind, ScanState

logger = logging.getLogger(__name__)

DISCOVERY_COLLECTORS = (instances.COLLECTOR,)


class AnotherScanOpenError(Exception):
    """Another scan of this AWS account is under way."""


@frugal()
def handle_aws_scan(job: ScanJob) -> Mapping[str, object]:
    """Everything we collect, then the rules. Answers the job's summary."""
    scan = _fetch(job, COLLECTORS)
    recommended = findings.judge(scan.account, job, scan.succeeded)
    scan.progress.advance(RULES_STEPS)
    rules = recommended.pop("rules")
    return {"summary": {**_summary(scan), "recommendations": recommended, "rules": rules}}


@frugal()
def handle_discovery(job: ScanJob) -> Mapping[str, object]:
    """The account's EC2 instances, how they are used and what the account costs, then a look at
    all components' health."""
    scan = _fetch(job, DISCOVERY_COLLECTORS)
    scan.progress.advance(RULES_STEPS)
    _check_health(scan.account)
    return {"summary": _summary(scan)}


def after_settle(job: ScanJob, error: BaseException | None) -> None:
    """Move the account by how its job ended, in the job's own transaction."""
    if job.state == ScanState.COMPLETED and job.account is not None:
        mark_scanned(job.account, is_full=job.kind == ScanKind.AWS)
    if job.is_dead and job.account is not None and _is_account_to_blame(job, job.account, error):
        mark_failed(job.account, str(error))
    if not job.is_open:
        doorbells.ring(doorbells.ALERTS_EVALUATE)


def _is_account_to_blame(job: ScanJob, account: Account, error: BaseException | None) -> bool:
    if job.has_own_credentials() or job.uses_shell_login:
        return False  # not the account's
    if isinstance(error, CredentialsRefusedError):
        return True
    if isinstance(error, SimulatorNotRunningError | OwnIdentityError):
        return False  # AWS was not asked
    if isinstance(error, NoCredentialsHereError):
        return not account.is_usable  # AWS was not asked: one that works by other ways still does
    # The first discovery has to succeed once; later a transient failure says nothing.
    return job.kind == ScanKind.DISCOVERY and account.status == AccountStatus.CONNECTED


def _fetch(job: ScanJob, collectors: Sequence[Collector]) -> Scan:
    """Ask AWS and store what it says; the job is ANALYZING afterwards."""
    known_as = job.account.aws_account_id if job.account else ""
    endpoint_url = endpoint_of(job.account)
    with open_session(
        source_of_job(job), name=str(job.pk), account_id=known_as, endpoint_url=endpoint_url
    ) as session:
        account = _account_of(job, session.caller_identity())
        scan = Scan(job, account, session, collectors, load_book(account))
        scan.run()
    if not job.advance(ScanState.ANALYZING, actor=job.lease_owner):
        raise LeaseLostError(str(LeaseLostError.__doc__))
    return scan


def _account_of(job: ScanJob, identity: CallerIdentity) -> Account:
    """The account AWS says these credentials are of. A scan that came with credentials of its own
    learns here whose they are: the tenant's account of that number, or a new one."""
    if job.account is not None:
        check_identity(job.account, identity)
        if not job.has_own_credentials() and not job.uses_shell_login:
            ensure_nobody_elses(job.account)
        if not job.account.aws_account_id:
            job.account.update_guarded(aws_account_id=identity.account_id)
        return job.account
    account = account_of_number(job.tenant, identity.account_id)
    try:
        with transaction.atomic():
            if not job.update_guarded(account=account):
                raise LeaseLostError(str(LeaseLostError.__doc__))
    except IntegrityError as error:
        raise AnotherScanOpenError(str(AnotherScanOpenError.__doc__)) from error
    return account


def _summary(scan: Scan) -> dict[str, object]:
    outcomes = scan.outcomes()
    return {
        "rows": scan.rows_by_kind(),
        "gone": scan.gone,
        "metrics": scan.summaries,
        "throttled": scan.throttled(),
        "regions": len({end.unit.region for end in scan.ends}),
        "units": outcomes,
        "is_partial": any(outcome != "ok" for outcome in outcomes),
    }


def _check_health(account: Account) -> None:
    """So that the dashboard is right at once. Failing, it is one warning, no failed discovery."""
    try:
        result = run_all_health_checks()
    except Exception as error:  # noqa: BLE001 whatever is wrong with it, the discovery is done
        logger.warning("health check after discovery failed: %s", logs.exception_text(error))
    else:
        logger.info("health after discovery of %s: %s", account.pk, result["status"])
