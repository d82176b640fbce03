"""The daily look at AWS's price list, with the credentials of an account that may."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from django.db.models import Q

from hostmaster.core import logs
from hostmaster.core.jobs.retry import PermanentError
from hostmaster.core.jobs.schedules import JobReport
from scans.aws.accounts import source_of
from scans.aws.clients import AwsSession, open_session
from scans.aws.errors import AWS_ERRORS, CredentialsRefusedError
from scans.aws.prices.store import due_regions, refresh_prices, regions_in_use
from scans.models import Account

logger = logging.getLogger(__name__)

MOST_ACCOUNTS = 5  # that may be tried: prices are the same to all


def refresh_due_prices() -> JobReport:
    """Fetch the prices of each region in use that nobody asked about since yesterday."""
    by_ourselves = Q(credentials_sealed__isnull=False) | ~Q(role_arn="")
    accounts = Account.objects.usable().filter(by_ourselves, is_simulated=False)
    due = due_regions(regions_in_use(accounts))
    if not due:
        return JobReport()
    succeeded = 0
    for session in _sessions(list(accounts.order_by("-last_scan_at")[:MOST_ACCOUNTS])):
        with session:
            done = [region for region in due if refresh_prices(session, region).is_ok]
        succeeded += len(done)
        due_left = [region for region in due if region not in done]
        if not due_left:
            return JobReport(processed=len(due), succeeded=succeeded)
        due = due_left
    return JobReport(processed=succeeded + len(due), succeeded=succeeded, failed=len(due))


def _sessions(accounts: list[Account]) -> Iterator[AwsSession]:
    for account in accounts:
        try:
            yield open_session(source_of(account), name="prices", account_id=account.aws_account_id)
        except (*AWS_ERRORS, CredentialsRefusedError, PermanentError) as error:
            logger.warning("prices by %s: %s", account.pk, logs.exception_text(error))
