"""What the clock asks of AWS scans."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from hostmaster.core.jobs.schedules import JobReport
from scans.models import Account, ScanJob, ScanKind
from scans.requests import open_job  # not services: they load boto3, 10 MB in a lane without scans

SCAN_EVERY = timedelta(hours=24)


def request_due_scans() -> JobReport:
    """Ask for a scan of each account we can enter by ourselves and did not ask about for a day.

    Counted from when the last scan was asked for, however it ended: a broken account is not asked
    about each time. Accounts spread over the day by when they were added.
    """
    recent = ScanJob.objects.filter(
        account=OuterRef("pk"), kind=ScanKind.AWS, created_at__gt=timezone.now() - SCAN_EVERY
    )
    by_ourselves = Q(credentials_sealed__isnull=False) | ~Q(role_arn="")
    due = Account.objects.usable().filter(by_ourselves, ~Exists(recent), is_simulated=False)
    requested = [
        open_job({"account": account, "kind": ScanKind.AWS}, requested_by="schedule")
        for account in due.iterator()
    ]
    return JobReport(processed=len(requested), succeeded=len(requested))


def forget_expired_credentials() -> JobReport:
    """Forget the credentials of scans that nobody ran in time."""
    # Waiting ones only: a running one is its worker's, whose version must stay as it is.
    over = ScanJob.objects.waiting().filter(
        credentials_sealed__isnull=False, credentials_expire_at__lte=timezone.now()
    )
    forgotten = [job.update_guarded(credentials_sealed=None) for job in over.iterator()]
    return JobReport(processed=len(forgotten), succeeded=sum(forgotten))
