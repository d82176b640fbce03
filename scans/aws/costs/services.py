"""Asking for fresh costs. Free of boto3: the clock and the web ask too."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Max, OuterRef, Q, Subquery
from django.utils import timezone

from hostmaster.core.jobs.schedules import JobReport
from scans.models import Account, ScanJob, ScanKind
from scans.requests import open_job

REFRESH_EVERY = timedelta(hours=24, minutes=30)  # a daily scan, which asks too, comes first
JITTER_MINUTES = 60
REQUESTS = 8
REQUEST_USD = Decimal("0.01")


def request_cost_refresh(account: Account, *, requested_by: str = "", ring: bool = True) -> ScanJob:
    """Ask for an account's costs as they are now: the one already open, if there is one.

    Unlike a scan, it takes no answer from before it was asked for, and AWS charges 0.01 USD for
    each of its about eight requests.
    """
    return open_job(
        {"account": account, "kind": ScanKind.COST}, ring=ring, requested_by=requested_by
    )


def refresh_price_usd() -> Decimal:
    """What AWS charges for one refresh, more when its answers have several pages."""
    return REQUESTS * REQUEST_USD


def request_due_costs() -> JobReport:
    """Ask for the costs of each account we can enter by ourselves and whose costs nobody fetched
    or tried to for a day, and up to an hour more: the same for an account each day, so that they
    spread."""
    now = timezone.now()
    jobs = ScanJob.objects.filter(account=OuterRef("pk"), kind=ScanKind.COST)
    by_ourselves = Q(credentials_sealed__isnull=False) | ~Q(role_arn="")
    usable = Account.objects.usable().filter(by_ourselves, is_simulated=False)
    accounts = usable.annotate(
        fetched_at=Max("costfetchs__fetched_at"),
        asked_at=Subquery(jobs.order_by("-created_at").values("created_at")[:1]),
    )
    asked = [
        request_cost_refresh(account, requested_by="schedule")
        for account in accounts.iterator()
        if due_at(account, account.fetched_at, account.asked_at) <= now
    ]
    return JobReport(processed=len(asked), succeeded=len(asked))


def due_at(account: Account, *instants: datetime | None) -> datetime:
    """When to ask about it again; `instants`: when it was fetched and asked for."""
    known = [instant for instant in instants if instant is not None]
    jitter = timedelta(minutes=account.pk.int % JITTER_MINUTES)
    return (max(known) + REFRESH_EVERY if known else account.created_at) + jitter
