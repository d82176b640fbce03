"""Asks Cost Explorer about one account, at most every six hours, and reads on from there."""

from __future__ import annotations

from scans.aws.clients import AwsSession
from scans.aws.costs.calls import CallEnd
from scans.models import Account, ScanJob


def refresh_costs(account: Account, session: AwsSession, job: ScanJob | None) -> list[CallEnd]:
    """Fetch and store costs, forecast, commitments and anomalies; then budgets are judged.

    For scans, discoveries and cost refreshes alike, in the thread that owns the database. No
    denied or failed call raises: each is an end in the answer, for `calls.save_ends(job, ends)`.
    """
    return []
