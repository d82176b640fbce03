"""Asking for fresh costs. Free of boto3: the clock and the web ask too."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Max, Q, QuerySet
from django.utils import timezone

from hostmaster.core.jobs.schedules import JobReport
from scans.models import Account, CostFetch, ScanJob, ScanKind
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
    by_ourselves = Q(credentials_sealed__isnull=False) | ~Q(role_arn="")
    accounts = Account.objects.usable().filter(by_ourselves, is_simulated=False)
    jobs = ScanJob.objects.filter(account__in=accounts, kind=ScanKind.COST)
    asked_at = _latest(jobs, "created_at")
    fetched_at = _latest(CostFetch.objects.filter(account__in=accounts), "fetched_at")
    now = timezone.now()
    asked = [
        request_cost_refresh(account, requested_by="schedule")
        for account in accounts
        if due_at(account, fetched_at.get(account.pk), asked_at.get(account.pk)) <= now
    ]
    return JobReport(processed=len(asked), succeeded=len(asked))


def due_at(account: Account, *instants: datetime | None) -> datetime:
    """When to ask about it again; `instants`: when it was fetched and asked for."""
    known = [instant for instant in instants if instant is not None]
    jitter = timedelta(minutes=account.pk.int % JITTER_MINUTES)
    return (max(known) + REFRESH_EVERY if known else account.created_at) + jitter


def _latest(rows: QuerySet[Any], name: str) -> dict[uuid.UUID, datetime]:
    """The latest instant of each account."""
    return dict(rows.order_by().values_list("account").annotate(latest=Max(name)))
