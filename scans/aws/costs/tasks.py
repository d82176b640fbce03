"""Runs a cost refresh: what the engine calls, safe to repeat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from hostmaster.core.jobs import doorbells
from hostmaster.core.jobs.models import LeaseLostError
from hostmaster.core.jobs.retry import PermanentError
from scans.aws.accounts import endpoint_of, source_of_job
from scans.aws.clients import open_session
from scans.aws.costs.calls import CallEnd
from scans.aws.costs.explorer import USAGE
from scans.aws.costs.refresh import refresh_costs
from scans.aws.costs.services import REQUEST_USD
from scans.aws.errors import CredentialsRefusedError, Outcome
from scans.aws.onboarding import ensure_nobody_elses
from scans.aws.standing import check_identity, mark_failed, renew_figures
from scans.aws.units import save_units
from scans.models import ScanJob, ScanState


class CostsNotToldError(Exception):
    """Cost Explorer did not tell the account's costs."""


class NoAccountError(PermanentError):
    """A cost refresh is of an account."""


def handle_cost_refresh(job: ScanJob) -> Mapping[str, object]:
    """Ask Cost Explorer alone. Refused calls are in the coverage map; one that broke is tried
    again, without asking for what was answered."""
    if job.account is None:
        raise NoAccountError(str(NoAccountError.__doc__))
    known_as = job.account.aws_account_id
    endpoint_url = endpoint_of(job.account)
    with open_session(
        source_of_job(job), name=str(job.pk), account_id=known_as, endpoint_url=endpoint_url
    ) as session:
        check_identity(job.account, session.caller_identity())
        ensure_nobody_elses(job.account)
        ends = refresh_costs(job.account, session, job)
    save_units(job, [end.as_report() for end in ends])
    _raise_if_broken(ends)
    if not job.advance(ScanState.ANALYZING, actor=job.lease_owner):
        raise LeaseLostError(str(LeaseLostError.__doc__))
    return {"summary": _summary(ends)}


def after_settle(job: ScanJob, error: BaseException | None) -> None:
    """New figures, in the job's own transaction; the account's status is of other calls."""
    if job.account is not None and job.state == ScanState.COMPLETED:
        renew_figures(job.account)
    if job.account is not None and job.is_dead and isinstance(error, CredentialsRefusedError):
        mark_failed(job.account, str(error))
    if not job.is_open:
        doorbells.ring(doorbells.ALERTS_EVALUATE)


def _raise_if_broken(ends: Sequence[CallEnd]) -> None:
    for end in ends:
        if end.call == USAGE[0].call and end.outcome.outcome in {Outcome.ERROR, Outcome.THROTTLED}:
            raise CostsNotToldError(
                f"{CostsNotToldError.__doc__} {end.outcome.code} {end.outcome.message}".strip()
            )


def _summary(ends: Sequence[CallEnd]) -> dict[str, object]:
    requests = sum(end.calls for end in ends)
    return {
        "units": dict(Counter(end.outcome.outcome.value for end in ends)),
        "is_partial": not all(end.is_ok for end in ends),
        "requests": requests,
        "requests_usd": str(requests * REQUEST_USD),
    }
